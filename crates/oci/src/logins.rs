//! Credentials for several registries: each registry gets its own and no other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::hosts::{DOCKER_HUB_API, is_docker_hub};
use crate::{Auth, Credentials};

/// The credentials of a run, one pair for each registry. Cheap to clone.
#[derive(Clone, Default)]
pub struct Logins(Arc<BTreeMap<String, Credentials>>);

impl Logins {
    /// The credentials for the registry `host`. All names of Docker Hub mean the same registry.
    pub fn get(&self, host: &str) -> Option<&Credentials> {
        self.0.get(key(host).as_str())
    }

    /// How to authenticate at the registry `host`.
    pub fn auth(&self, host: &str) -> Auth {
        self.get(host)
            .cloned()
            .map_or(Auth::Anonymous, Auth::Password)
    }

    /// The same, and `credentials` for the registry `host`.
    #[must_use]
    pub fn with(&self, host: &str, credentials: Credentials) -> Self {
        let mut logins = (*self.0).clone();
        logins.insert(key(host), credentials);
        Self(Arc::new(logins))
    }

    /// Whether there are no credentials.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// BuildKit calls Docker Hub by the host of its API; Docker's clients by the URL of its first API, too (`https://index.docker.io/v1/`).
fn key(host: &str) -> String {
    let name = host.strip_prefix("https://").unwrap_or(host);
    let name = name.split('/').next().unwrap_or_default();
    if is_docker_hub(name) || name == DOCKER_HUB_API {
        "docker.io".to_owned()
    } else {
        name.to_ascii_lowercase()
    }
}

impl FromIterator<(String, Credentials)> for Logins {
    fn from_iter<I: IntoIterator<Item = (String, Credentials)>>(logins: I) -> Self {
        let logins = logins.into_iter();
        Self(Arc::new(
            logins.map(|(host, login)| (key(&host), login)).collect(),
        ))
    }
}

// Only the hosts: the credentials are secret.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_gets_its_own_credentials() {
        let login = |username: &str| Credentials {
            username: username.to_owned(),
            password: "p4ss".to_owned(),
        };
        let logins: Logins = [
            ("index.docker.io".to_owned(), login("hub")),
            ("127.0.0.1:5000".to_owned(), login("local")),
        ]
        .into_iter()
        .collect();
        let table = [
            ("docker.io", Some("hub")),
            ("registry-1.docker.io", Some("hub")),
            ("https://index.docker.io/v1/", Some("hub")),
            ("127.0.0.1:5000", Some("local")),
            ("127.0.0.1:5001", None),
            ("127.0.0.1", None),
            ("docker.io.evil.example", None),
            ("evil.example/docker.io", None),
            ("auth.docker.io", None),
        ];
        for (host, expected) in table {
            let found = logins.get(host).map(|login| login.username.as_str());
            assert_eq!(found, expected, "{host}");
        }
        assert_eq!(format!("{logins:?}"), r#"{"127.0.0.1:5000", "docker.io"}"#);
    }
}
