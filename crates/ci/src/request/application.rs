//! Whether the application runs next to tests in another image.

use super::{Service, Smoke, TestImage, Tests};

/// Its host name without a compose file.
const HOST: &str = "app";

/// The host at which tests of another image reach the application: their command or environment names it. It is that of the
/// compose file's service, or `app`; if a service has that name, it is that service.
pub(super) fn host(tests: &Tests, smoke: Option<&Smoke>, services: &[Service]) -> Option<String> {
    smoke?;
    let is_reached = is_named(tests) && !is_service(tests, services);
    is_reached.then(|| name(tests).to_owned())
}

/// Whether tests of another image name the host of the application.
pub(crate) fn is_named(tests: &Tests) -> bool {
    let host = name(tests);
    let mut values = tests
        .env
        .iter()
        .filter_map(|pair| Some(pair.split_once('=')?.1))
        .chain(tests.command.as_deref());
    matches!(tests.target, TestImage::Given(_)) && values.any(|text| names(text, host))
}

/// Whether the host is that of one of the `services`.
pub(crate) fn is_service(tests: &Tests, services: &[Service]) -> bool {
    let host = name(tests);
    services
        .iter()
        .any(|service| service.name == host || service.aliases.iter().any(|name| name == host))
}

/// The host at which tests would reach the application.
pub(crate) fn name(tests: &Tests) -> &str {
    let service = tests.service.as_ref().map(|service| service.name.as_str());
    service.filter(|name| !name.is_empty()).unwrap_or(HOST)
}

// Whether `text` has `host` in a URL, or with a port. The word alone may be a directory.
fn names(text: &str, host: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    text.match_indices(host).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + host.len()..]);
        let word = before
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let authority = word.rsplit_once("://").map(|(_, authority)| authority);
        let is_in_url = authority
            .is_some_and(|user| user.is_empty() || user.ends_with('@') && !user.contains('/'));
        let is_start = !before.ends_with(|c: char| is_of_name(c) || c == '/');
        let port = after.strip_prefix(':').unwrap_or_default();
        let has_port = port.starts_with(|c: char| c.is_ascii_digit());
        is_in_url && !after.starts_with(is_of_name) || is_start && has_port
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_in_a_url_or_with_its_port() {
        let table = [
            ("curl http://app/health", true),
            ("k6 run -e URL=https://app:8443 test.js", true),
            ("http://user:pw@app", true),
            ("wait-for-it app:8000 -- pytest", true),
            ("URL=http://app npm test", true),
            ("npm test -w @app/web", false),
            ("bazel test //app/...", false),
            ("git clone https://example.com/@app", false),
            ("pytest app", false),
            ("pytest app/tests", false),
            ("gunicorn app:app", false),
            ("http://myapp:80", false),
            ("http://app.example.com", false),
            ("https://example.com/app:1", false),
            ("", false),
        ];
        for (text, expected) in table {
            assert_eq!(names(text, "app"), expected, "{text}");
        }
    }
}
