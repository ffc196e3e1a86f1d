//! Where a finding is shown: where it is mended.

use trivy::report::{ResultOf, Vulnerability};

use crate::findings::location;

/// A place in the repository (or, failing that, in the image).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) end_line: u32,
}

/// What is known of the places of one scan.
pub(crate) struct Places<'a> {
    name: &'a str,
    prefix: &'a str,
    dockerfile: Option<(&'a str, u32)>,
}

impl<'a> Places<'a> {
    /// The scan of `name`, whose paths start at `prefix`; `dockerfile` is the path and text of the image's
    /// Dockerfile.
    pub(crate) fn new(name: &'a str, prefix: &'a str, dockerfile: Option<(&'a str, &str)>) -> Self {
        Self {
            name,
            prefix,
            dockerfile: dockerfile.map(|(path, text)| (path, base_line(text))),
        }
    }

    /// The name of what was scanned.
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// The place of a vulnerable package: the lock file's line; for an image's own packages, the line of the
    /// Dockerfile that brings the distribution.
    pub(crate) fn of_package(&self, result: &ResultOf, v: &Vulnerability) -> Location {
        if result.class == "os-pkgs" {
            return match self.dockerfile {
                Some((path, line)) => location(path.to_owned(), line, line),
                None => location(self.name.to_owned(), 1, 1),
            };
        }
        let file = if v.package_path.is_empty() {
            &result.target
        } else {
            &v.package_path
        };
        let package = result
            .packages
            .iter()
            .find(|package| package.id == v.package_id);
        let lines = package.and_then(|package| package.locations.first());
        let (start, end) = lines.map_or((1, 1), |lines| (lines.start_line, lines.end_line));
        self.of_lines(file, start, end)
    }

    /// Lines of a file of the scan.
    pub(crate) fn of_lines(&self, file: &str, start: u32, end: u32) -> Location {
        let file = file.trim_start_matches("./").trim_start_matches('/');
        let path = match (self.prefix, file) {
            ("", "" | ".") => self.name.to_owned(),
            ("", file) => file.to_owned(),
            (prefix, "" | ".") => prefix.to_owned(),
            (prefix, file) => format!("{prefix}/{file}"),
        };
        location(path, start, end)
    }
}

// The line of the `FROM` from which the last stage's distribution comes: stages that build on other
// stages are followed back.
fn base_line(dockerfile: &str) -> u32 {
    let mut stages: Vec<(String, String, u32)> = Vec::new();
    for (number, line) in (1..).zip(dockerfile.lines()) {
        let words: Vec<_> = line.split_whitespace().collect();
        if words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("from"))
        {
            let rest: Vec<_> = words[1..]
                .iter()
                .filter(|word| !word.starts_with("--"))
                .collect();
            let name = rest
                .windows(2)
                .find(|pair| pair[0].eq_ignore_ascii_case("as"))
                .map_or("", |pair| pair[1]);
            let from = rest.first().map_or("", |from| from);
            stages.push((name.to_lowercase(), from.to_lowercase(), number));
        }
    }
    let mut at = stages.len();
    while let Some((_, from, line)) = at.checked_sub(1).and_then(|at| stages.get(at)) {
        match stages[..at - 1]
            .iter()
            .position(|(name, _, _)| !name.is_empty() && name == from)
        {
            Some(earlier) => at = earlier + 1,
            None => return *line,
        }
    }
    1
}

/// A path as a relative URI reference (RFC 3986): every segment percent-encoded, also the `:` that would
/// make the first one a scheme.
pub(crate) fn uri(path: &str) -> String {
    let segments = path
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".");
    let encoded: Vec<String> = segments.map(encode).collect();
    if encoded.is_empty() {
        "unknown".to_owned()
    } else {
        encoded.join("/")
    }
}

fn encode(segment: &str) -> String {
    let mut out = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_distribution_comes_from_the_first_from_of_the_chain() {
        let text = "ARG B=x\nFROM ${B} AS base\nRUN a\nFROM base AS build\nRUN b\nFROM --platform=linux/amd64 base\nCOPY --from=build /a /a\n";
        assert_eq!(base_line(text), 2);
        assert_eq!(base_line("FROM a AS one\nFROM b\n"), 2);
        assert_eq!(base_line(""), 1);
    }

    #[test]
    fn paths_become_relative_references() {
        let table = [
            ("app/requirements.txt", "app/requirements.txt"),
            ("a:b.txt", "a%3Ab.txt"),
            ("100%zz.txt", "100%25zz.txt"),
            ("/usr/lib/x y", "usr/lib/x%20y"),
            ("", "unknown"),
        ];
        for (path, expected) in table {
            assert_eq!(uri(path), expected);
        }
    }

    proptest! {
        #[test]
        fn any_path_is_a_sound_reference(path in ".{0,80}") {
            let uri = uri(&path);
            prop_assert!(!uri.is_empty() && !uri.starts_with('/'));
            prop_assert!(!uri.contains([':', ' ', '\\', '"']) && uri.is_ascii());
        }
    }
}
