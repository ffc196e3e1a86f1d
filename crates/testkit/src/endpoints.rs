//! What a declared connection is for certain inputs: the hosts and ports that a step may connect to.

use std::collections::BTreeMap;
use std::fmt;

use actions_toolkit::Action;
use actions_toolkit::network::{By, Connection, Host, Network, When};

/// A host and a port. The host is a name, an address, or `*.` and the end of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Endpoint {
    /// `host`, `host:port`, or a URL; without a port, the one of https.
    ///
    /// # Panics
    /// When the port is not a number.
    pub fn new(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().expect("a port")),
            None => (authority, if scheme == "http" { 80 } else { 443 }),
        };
        Self {
            host: host.to_owned(),
            port,
        }
    }

    /// Whether `host` is this host, or one of these names.
    pub fn is_named(&self, host: &str) -> bool {
        match self.host.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == self.host,
        }
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// It does not.
    No,
    /// The inputs do not say.
    Perhaps,
    /// It does.
    Yes,
}

/// The inputs of a step.
#[derive(Debug, Clone)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// The defaults of `action` in a workflow, with `changes`.
    ///
    /// # Panics
    /// When the action has no such input.
    pub fn new(action: &Action, changes: &[(&str, &str)]) -> Self {
        let inputs = (action.inputs)();
        let mut values: BTreeMap<String, String> = inputs
            .iter()
            .map(|input| {
                let default = input.workflow_default.or(input.default);
                (
                    input.name.to_owned(),
                    default.unwrap_or_default().to_owned(),
                )
            })
            .collect();
        for (name, value) in changes {
            let known = values.insert((*name).to_owned(), (*value).to_owned());
            assert!(known.is_some(), "{} has no input `{name}`", action.name);
        }
        Self(values)
    }

    /// The value of the input `name`, empty without one.
    ///
    /// # Panics
    /// When the action has no such input.
    pub fn get(&self, name: &str) -> &str {
        let value = self.0.get(name);
        value.unwrap_or_else(|| panic!("there is no input `{name}`"))
    }

    /// Whether all of `conditions` hold.
    pub fn hold<'a>(&self, conditions: impl IntoIterator<Item = &'a When>) -> Holds {
        let holds = |condition: &When| {
            match *condition {
                When::Set(input) => !self.get(input).is_empty(),
                When::Empty(input) => self.get(input).is_empty(),
                When::Is(input, value) => self.get(input) == value,
                When::Not(input, value) => self.get(input) != value,
                When::Case(_) => return Holds::Perhaps,
            }
            .into()
        };
        let all = conditions.into_iter().map(holds);
        all.min().unwrap_or(Holds::Yes)
    }

    /// What `host` is with these inputs; empty for what is known only when the step runs.
    pub fn endpoints(&self, host: &Host) -> Vec<Endpoint> {
        match *host {
            Host::Name(name) => vec![Endpoint::new(name)],
            Host::Http(name) => vec![Endpoint::new(&format!("http://{name}"))],
            Host::Url(url) => vec![Endpoint::new(url)],
            Host::Clouds(clouds) => {
                let first = clouds.first().map(|(_, name)| Endpoint::new(name));
                first.into_iter().collect()
            }
            Host::Images(images) => {
                let mut all = Vec::new();
                for endpoint in images.iter().copied().flat_map(registry) {
                    if !all.contains(&endpoint) {
                        all.push(endpoint);
                    }
                }
                all
            }
            Host::UrlInput(input) => {
                let urls = self.get(input).split([',', '\n']).map(str::trim);
                urls.filter(|url| !url.is_empty())
                    .map(Endpoint::new)
                    .collect()
            }
            Host::ImageInput(input) => self.get(input).lines().flat_map(registry).collect(),
            Host::Found(_) => Vec::new(),
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

// The hosts of the registry of `image`, which may follow the type of a target and may be a registry alone.
fn registry(image: &str) -> Vec<Endpoint> {
    let image = image.rsplit([' ']).next().unwrap_or_default();
    let image = image.strip_prefix("image:").unwrap_or(image);
    if matches!(image, "" | "auto" | "none") {
        return Vec::new();
    }
    let first = image.split('/').next().unwrap_or_default();
    let is_host = first.contains('.') || (image.contains('/') && first.contains(':'));
    let hosts = oci::hosts(is_host.then_some(first));
    hosts.into_iter().map(Endpoint::new).collect()
}

/// The connections of `network` that `values` make possible, with whether they are made for certain.
pub fn possible(network: Network, values: &Values) -> Vec<(Connection, Holds)> {
    let all = network
        .iter()
        .flat_map(|part| part.connections.iter().map(move |one| (part.when, *one)));
    all.map(|(when, connection)| (connection, values.hold(when.iter().chain(connection.when))))
        .filter(|(_, holds)| *holds != Holds::No)
        .collect()
}

/// What the step itself may connect to, with these inputs.
pub fn of_the_step(network: Network, values: &Values) -> Vec<Endpoint> {
    possible(network, values)
        .iter()
        .filter(|(connection, _)| connection.by == By::Step)
        .flat_map(|(connection, _)| values.endpoints(&connection.host))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_from_a_name_or_a_url() {
        for (text, expected) in [
            ("a.example", "a.example:443"),
            ("https://a.example/x", "a.example:443"),
            ("http://a.example", "a.example:80"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("*.example:8443", "*.example:8443"),
        ] {
            assert_eq!(Endpoint::new(text).to_string(), expected);
        }
    }

    #[test]
    fn a_wildcard_is_the_end_of_a_longer_name() {
        let wildcard = Endpoint::new("*.azurecr.io");
        assert!(wildcard.is_named("a.azurecr.io"));
        for other in [
            "azurecr.io",
            ".azurecr.io",
            "aazurecr.io",
            "a.azurecr.io.evil",
        ] {
            assert!(!wildcard.is_named(other), "{other}");
        }
        assert!(!Endpoint::new("a.example").is_named("b.a.example"));
    }

    #[test]
    fn the_registry_of_an_image_follows_from_its_name() {
        let first = |image: &str| registry(image).first().map(ToString::to_string);
        let table = [
            ("image ghcr.io/a/b:1", Some("ghcr.io:443")),
            ("image:127.0.0.1:5000/a", Some("127.0.0.1:5000")),
            ("app:1", Some("registry-1.docker.io:443")),
            ("docker.io/library", Some("registry-1.docker.io:443")),
            ("ghcr.io", Some("ghcr.io:443")),
            ("auto", None),
            ("", None),
        ];
        for (image, expected) in table {
            assert_eq!(first(image).as_deref(), expected, "{image}");
        }
    }
}
