//! The lines of the input `registries`.

use actions_toolkit::{Scope, Secret, Value};
use oci::{ImageRef, is_docker_hub};

/// The lines of `registries`; each secret is masked.
#[derive(Debug, Clone, Default)]
pub struct RegistryLines(pub(crate) Vec<Line>);

/// `host`, or `host user secret`. The input as a whole is not a secret: hosts are in messages.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) host: String,
    /// User and secret.
    pub(crate) login: Option<(String, Secret)>,
}

impl Value for RegistryLines {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let Some((host, rest)) = first_word(line) else {
                continue;
            };
            // Where the user's name is missing, what is in its place may be the secret: masked before any message.
            let login = match first_word(rest) {
                None => None,
                Some((only, "")) => {
                    Secret::parse(only, scope)?;
                    None
                }
                // The key of a service account of Google is JSON, with blanks.
                Some((username, secret)) => {
                    Some((username.to_owned(), Secret::parse(secret, scope)?))
                }
            };
            let host = registry_host(host).ok_or_else(|| {
                format!(
                    "line {number} does not begin with the host of a registry, such as `ghcr.io`"
                )
            })?;
            if lines.iter().any(|other| other.host == host) {
                return Err(format!("`{host}` has two lines"));
            }
            lines.push(Line {
                number,
                host,
                login,
            });
        }
        Ok(Self(lines))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

// The first word, and what follows it.
fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (!word.is_empty()).then(|| (word, rest.trim_start()))
}

// Also as docker/login-action's users write it: `https://index.docker.io/v1/`.
fn registry_host(text: &str) -> Option<String> {
    let (text, is_url) = match text.strip_prefix("https://") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let host = match text.split_once('/') {
        Some((host, rest)) => {
            let is_root = is_url && matches!(rest, "" | "v1/" | "v2/");
            is_root.then_some(host)?
        }
        None => text,
    };
    let host = if is_docker_hub(host) {
        "docker.io"
    } else {
        host
    };
    let example: ImageRef = format!("{host}/x").parse().ok()?;
    (example.registry() == Some(host)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        let lines = RegistryLines::parse(text, &Scope::new(&Log::sink(), &Workspace::new("/w")))?;
        let shown = lines.0.iter().map(|line| {
            let login = line.login.as_ref();
            let login = login.map(|(username, secret)| (username.as_str(), secret.expose()));
            format!("{} {login:?}", line.host)
        });
        Ok(shown.collect())
    }

    #[test]
    fn a_line_is_a_host_and_a_login() {
        let text = "ghcr.io\n\n  https://index.docker.io/v1/  me  s3cr3t==\nlocalhost:5000 u p\nA.azurecr.io\ngcr.io _json_key {\"a\": 1}\nquay.io me";
        assert_eq!(
            lines(text).unwrap(),
            [
                "ghcr.io None",
                r#"docker.io Some(("me", "s3cr3t=="))"#,
                r#"localhost:5000 Some(("u", "p"))"#,
                "a.azurecr.io None",
                r#"gcr.io Some(("_json_key", "{\"a\": 1}"))"#,
                "quay.io None",
            ]
        );
    }

    #[test]
    fn an_error_does_not_contain_a_secret() {
        let table = [
            (
                "s3cr3t",
                "line 1 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "\nme ghcr.io s3cr3t",
                "line 2 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "ghcr.io/octo-org a s3cr3t",
                "line 1 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "docker.io a s3cr3t\nindex.docker.io b s3cr3t",
                "`docker.io` has two lines",
            ),
        ];
        for (text, problem) in table {
            assert_eq!(lines(text).unwrap_err(), problem);
        }
    }
}
