//! Patterns for names in a registry.

use actions_toolkit::{Scope, Value, glob};
use globset::GlobMatcher;
use regex::{Regex, RegexBuilder};

/// Bytes that one compiled expression may have.
const SIZE: usize = 1 << 20;

/// A pattern with `*` for any characters, or a regular expression between slashes, `/^v\d+$/`.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// One with wildcards, for whole names.
    Glob(GlobMatcher),
    /// It matches anywhere in the name unless it is anchored.
    Expression(Regex),
}

impl Pattern {
    /// Whether `name` matches.
    pub fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(name),
            Self::Expression(expression) => expression.is_match(name),
        }
    }

    /// The only name that matches, if there is just one.
    pub fn literal(&self) -> Option<&str> {
        let Self::Glob(glob) = self else {
            return None;
        };
        let text = glob.glob().glob();
        (!text.contains(['*', '?', '[', '{'])).then_some(text)
    }
}

impl Value for Pattern {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let expression = text
            .strip_prefix('/')
            .and_then(|text| text.strip_suffix('/'));
        let Some(expression) = expression else {
            return glob::names(text).map(Self::Glob);
        };
        RegexBuilder::new(expression)
            .size_limit(SIZE)
            .build()
            .map(Self::Expression)
            .map_err(|e| format!("invalid regular expression `{text}`: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn parse(text: &str) -> Result<Pattern, String> {
        let (log, workspace) = (Log::sink(), Workspace::new("/w"));
        Pattern::parse(text, &Scope::new(&log, &workspace))
    }

    #[test]
    fn a_pattern_matches_whole_names_and_an_expression_what_it_says() {
        let table = [
            ("team/*", "team/a/b", true),
            ("team/*", "other/team/a", false),
            ("1.*", "1.2", true),
            ("1.*", "11.2", false),
            (r"/^v\d+$/", "v12", true),
            (r"/^v\d+$/", "v12-rc", false),
            ("/rc/", "v12-rc1", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(
                parse(pattern).unwrap().is_match(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn only_a_pattern_without_wildcards_is_a_name() {
        assert_eq!(parse("team/app").unwrap().literal(), Some("team/app"));
        for pattern in ["team/*", "v?", "/team/", "{a,b}"] {
            assert_eq!(parse(pattern).unwrap().literal(), None, "{pattern}");
        }
    }

    #[test]
    fn an_expression_that_is_wrong_or_too_large_is_rejected() {
        for pattern in ["/(/", r"/(\w{1000}){1000}/", "[a"] {
            let error = parse(pattern).unwrap_err();
            assert!(error.contains(pattern), "{error}");
        }
    }
}
