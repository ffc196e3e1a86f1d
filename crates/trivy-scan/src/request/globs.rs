//! Globs of paths, as workflows write them: one per line, or several with commas, as aquasecurity/trivy-action has them.

use actions_toolkit::{Scope, Value};

/// The globs of one line. A comma in braces is part of a glob: `{docs,examples}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Globs(pub(crate) Vec<String>);

impl Value for Globs {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        Ok(Self(split(text)))
    }
}

fn split(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let globs = text.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let globs = globs.map(str::trim).filter(|glob| !glob.is_empty());
    globs.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_comma_separates_globs_unless_it_is_in_braces() {
        let table: [(&str, &[&str]); 5] = [
            ("docs", &["docs"]),
            ("docs, examples,", &["docs", "examples"]),
            ("{docs,examples}/**", &["{docs,examples}/**"]),
            ("a,{b,{c,d}},e", &["a", "{b,{c,d}}", "e"]),
            ("a},b", &["a}", "b"]),
        ];
        for (text, globs) in table {
            assert_eq!(super::split(text), globs, "{text}");
        }
    }
}
