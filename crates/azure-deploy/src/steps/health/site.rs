//! Where an Ingress or a route responds: a host name, a scheme, a path, and the addresses that serve them.

use super::address::{Address, origin};

/// The first label of a name below a wildcard: any is right.
const ANY_LABEL: &str = "seaworthy";

/// A place to query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// The host name that the rule is for; without one, the address is the host.
    pub(super) host: Option<String>,
    pub(super) scheme: &'static str,
    pub(super) port: i32,
    /// The path that leads to the application, without a `/` at its end: empty if all paths do.
    pub(super) base: String,
    /// The path to query.
    pub(super) path: String,
    /// The IP addresses or host names.
    pub(super) addresses: Vec<String>,
}

impl Site {
    /// The site as it is seen at `address`.
    pub(super) fn at(&self, address: &str) -> Address {
        let origin = self.origin(address);
        Address {
            host: address.to_owned(),
            url: format!("{origin}{}", self.base),
        }
    }

    /// The URL to query at `address`.
    pub(super) fn url(&self, address: &str) -> String {
        format!("{}{}", self.origin(address), self.path)
    }

    fn origin(&self, address: &str) -> String {
        let host = self.host.as_deref().unwrap_or(address);
        origin(self.scheme, host, self.port)
    }
}

/// A name that `host` covers: itself, or one below its wildcard; `None` for every host.
pub(super) fn name_of(host: &str) -> Option<String> {
    match host.strip_prefix("*.") {
        Some(rest) => Some(format!("{ANY_LABEL}.{rest}")),
        None => Some(host.to_owned()).filter(|host| !host.is_empty()),
    }
}

/// Whether the name or wildcard `pattern` covers `host`, a name or a wildcard.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(suffix) if !suffix.is_empty() => host.len() > suffix.len() && host.ends_with(suffix),
        _ => pattern == host,
    }
}

/// The paths of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) path: String,
    pub(super) kind: PathKind,
    /// Whether they lead to the application.
    pub(super) is_own: bool,
}

/// How the path of a rule is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    Exact,
    Prefix,
}

impl Rule {
    /// Of a path that may be a regular expression, the literal start is the prefix: `/shop(/|$)(.*)` is `/shop`.
    pub(super) fn of_pattern(path: &str, is_own: bool) -> Self {
        let path = path.trim_start_matches('^');
        let end = path.find(['(', '[', '*', '?', '+', '$', '|', '\\', '{']);
        let literal = &path[..end.unwrap_or(path.len())];
        Self {
            // Of `/shop/.*`
            path: literal.trim_end_matches('.').to_owned(),
            kind: PathKind::Prefix,
            is_own,
        }
    }

    fn prefix(&self) -> &str {
        self.path.trim_end_matches('/')
    }

    // By elements of the path: `/shop` does not match `/shopping`.
    fn matches(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match self.kind {
            PathKind::Exact => path == self.path,
            PathKind::Prefix => {
                let rest = path.strip_prefix(self.prefix());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

/// The base and the path that lead to the application by `rules` of one host: `path` itself if it does, otherwise the first
/// prefix that does, and `path` below it; `None` if no rule leads there. Exact matches come first, then the longest.
pub(super) fn route(rules: &[Rule], path: &str) -> Option<(String, String)> {
    let matching = rules.iter().filter(|rule| rule.matches(path));
    let best = matching.max_by_key(|rule| (rule.kind == PathKind::Exact, rule.path.len()));
    let own = |rule: &&Rule| rule.is_own;
    if let Some(best) = best.filter(own) {
        let base = match best.kind {
            PathKind::Exact => "",
            PathKind::Prefix => best.prefix(),
        };
        return Some((base.to_owned(), path.to_owned()));
    }
    let prefixes = || rules.iter().filter(|rule| rule.kind == PathKind::Prefix);
    if let Some(prefix) = prefixes().find(own) {
        let base = prefix.prefix();
        return Some((base.to_owned(), format!("{base}{path}")));
    }
    let exact = rules.iter().find(own)?;
    Some((String::new(), exact.path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_that_of_the_application() {
        use PathKind::{Exact, Prefix};
        let rules = |rules: &[(&str, PathKind, bool)]| -> Vec<_> {
            let rules = rules.iter();
            rules
                .map(|(path, kind, is_own)| Rule {
                    path: (*path).to_owned(),
                    kind: *kind,
                    is_own: *is_own,
                })
                .collect()
        };
        let table: [(&[_], Option<(&str, &str)>); 9] = [
            (&[("/", Prefix, true)], Some(("", "/health"))),
            (&[("", Prefix, true)], Some(("", "/health"))),
            (&[("/shop", Prefix, true)], Some(("/shop", "/shop/health"))),
            (
                &[("/shop/", Prefix, true), ("/", Prefix, false)],
                Some(("/shop", "/shop/health")),
            ),
            (
                &[("/", Prefix, true), ("/health", Prefix, false)],
                Some(("", "/health")),
            ),
            (
                &[("/health", Exact, true), ("/", Prefix, false)],
                Some(("", "/health")),
            ),
            (&[("/live", Exact, true)], Some(("", "/live"))),
            (&[("/heal", Prefix, true)], Some(("/heal", "/heal/health"))),
            (&[("/", Prefix, false)], None),
        ];
        for (given, expected) in table {
            let found = route(&rules(given), "/health");
            let found = found
                .as_ref()
                .map(|(base, path)| (base.as_str(), path.as_str()));
            assert_eq!(found, expected, "{given:?}");
        }
        for pattern in ["/shop(/|$)(.*)", "/shop/.*", "^/shop", "/shop/"] {
            let rule = Rule::of_pattern(pattern, true);
            assert_eq!(route(&[rule], "/health").unwrap().1, "/shop/health");
        }
    }

    #[test]
    fn a_wildcard_covers_names_below_it() {
        let table = [
            ("x.example", "X.example", true),
            ("x.example", "y.example", false),
            ("*.example", "x.example", true),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("", "x.example", false),
        ];
        for (pattern, host, expected) in table {
            assert_eq!(covers(pattern, host), expected, "{pattern} {host}");
        }
        assert_eq!(name_of("*.shop.example").unwrap(), "seaworthy.shop.example");
        assert_eq!(name_of("shop.example").unwrap(), "shop.example");
        assert_eq!(name_of(""), None);
    }
}
