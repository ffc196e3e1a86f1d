//! What a registry that refuses needs.

use oci::{Logins, is_denied};

/// What to do about a refusal of the registry `host`.
pub fn hint(host: &str, logins: &Logins) -> String {
    if logins.get(host).is_some() {
        return format!(
            "`{host}` refused the login of its line in `registries`, or it has no rights to this repository"
        );
    }
    let line = match host {
        "ghcr.io" => {
            "`ghcr.io` (the job needs `packages: write` to push, `packages: read` to pull)"
                .to_owned()
        }
        host if host.contains(".azurecr.") => {
            format!("`{host}` with `client-id` and `tenant-id`, or `{host} USER SECRET`")
        }
        host => format!("`{host} USER SECRET`"),
    };
    format!("`{host}` requires a login; add a line to `registries`: {line}")
}

/// `error` of a request to the registry `host`, with what to do if it was refused.
pub fn explain(error: anyhow::Error, host: &str, logins: &Logins) -> anyhow::Error {
    if is_denied(&format!("{error:#}")) {
        error.context(hint(host, logins))
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use oci::Credentials;

    use super::*;

    #[test]
    fn a_refusal_names_the_host_and_the_line() {
        let login = Credentials {
            username: "me".into(),
            password: "p4ss".into(),
        };
        let logins: Logins = [("r.example".to_owned(), login)].into_iter().collect();
        let denied = |host| {
            let error = anyhow::anyhow!("401 Unauthorized");
            format!("{:#}", explain(error, host, &logins))
        };
        let table = [
            (
                "r.example",
                "`r.example` refused the login of its line in `registries`, or it has no rights to this repository: 401 Unauthorized",
            ),
            (
                "docker.io",
                "`docker.io` requires a login; add a line to `registries`: `docker.io USER SECRET`: 401 Unauthorized",
            ),
            (
                "ghcr.io",
                "`ghcr.io` requires a login; add a line to `registries`: `ghcr.io` (the job needs `packages: write` to push, `packages: read` to pull): 401 Unauthorized",
            ),
            (
                "a.azurecr.io",
                "`a.azurecr.io` requires a login; add a line to `registries`: `a.azurecr.io` with `client-id` and `tenant-id`, or `a.azurecr.io USER SECRET`: 401 Unauthorized",
            ),
        ];
        for (host, message) in table {
            assert_eq!(denied(host), message);
        }
        let other = explain(anyhow::anyhow!("manifest unknown"), "ghcr.io", &logins);
        assert_eq!(other.to_string(), "manifest unknown");
    }
}
