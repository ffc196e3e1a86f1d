//! Lock files that can't be read: Trivy skips them silently, and a scan of the rest has no finding.

use serde::de::IgnoredAny;

/// A format of lock files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Toml,
    Yaml,
    /// Lines, by the rules of one package manager.
    Lines,
}

/// The lock files that Trivy reads (trivy.dev/docs/latest/coverage/language), and their formats.
const LOCK_FILES: &[(&str, Format)] = &[
    ("package-lock.json", Format::Json),
    ("composer.lock", Format::Json),
    ("Pipfile.lock", Format::Json),
    ("packages.lock.json", Format::Json),
    ("conan.lock", Format::Json),
    ("Package.resolved", Format::Json),
    ("Cargo.lock", Format::Toml),
    ("poetry.lock", Format::Toml),
    ("uv.lock", Format::Toml),
    ("pylock.toml", Format::Toml),
    ("pnpm-lock.yaml", Format::Yaml),
    ("pubspec.lock", Format::Yaml),
    ("Podfile.lock", Format::Yaml),
    ("yarn.lock", Format::Lines),
    ("bun.lock", Format::Lines),
    ("requirements.txt", Format::Lines),
    ("Gemfile.lock", Format::Lines),
    ("go.mod", Format::Lines),
    ("go.sum", Format::Lines),
    ("gradle.lockfile", Format::Lines),
    ("mix.lock", Format::Lines),
];

/// Why the file `name` can't be read, or not as a whole; `None` for one that can, and for what is not a lock file. Its
/// `text` is read only if it is one. A file from which packages `are_read` is valid.
pub(super) fn problem(
    name: &str,
    are_read: bool,
    text: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let (_, format) = LOCK_FILES.iter().find(|(own, _)| *own == name)?;
    let text = text()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if let Some(line) = conflict(text) {
        return Some(format!(
            "has an unresolved merge conflict in line {line}; not all of its packages were scanned"
        ));
    }
    if are_read || text.trim().is_empty() {
        return None;
    }
    let (kind, error) = match format {
        Format::Json => (
            "JSON",
            serde_json::from_str::<IgnoredAny>(text).err()?.to_string(),
        ),
        Format::Toml => (
            "TOML",
            toml::from_str::<IgnoredAny>(text)
                .err()?
                .message()
                .to_owned(),
        ),
        Format::Yaml => ("YAML", yaml_error(text)?),
        Format::Lines => return None,
    };
    Some(format!(
        "is not valid {kind}: {error}; its packages were not scanned"
    ))
}

// The rest of the message is an excerpt.
fn yaml_error(text: &str) -> Option<String> {
    let error = serde_saphyr::from_str::<IgnoredAny>(text)
        .err()?
        .to_string();
    let first = error.lines().next().unwrap_or_default();
    Some(first.strip_prefix("error: ").unwrap_or(first).to_owned())
}

// The line, from 1, at which git has left both sides of a conflict.
fn conflict(text: &str) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let (start, _) = lines.find(|(_, line)| line.starts_with("<<<<<<< "))?;
    let has_end = lines.any(|(_, line)| line.starts_with(">>>>>>> "));
    has_end.then_some(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_cannot_be_read_is_named_with_the_reason() {
        let conflict = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n";
        let line =
            "has an unresolved merge conflict in line 2; not all of its packages were scanned";
        let table = [
            (
                "package-lock.json",
                r#"{"packages": {"#,
                "is not valid JSON: EOF while parsing an object at line 1 column 14; its packages were not scanned",
            ),
            ("package-lock.json", r#"{"packages": {}}"#, ""),
            (
                "Cargo.lock",
                "[[package]]\nname = \"x\n",
                "is not valid TOML: invalid basic string, expected `\"`; its packages were not scanned",
            ),
            ("Cargo.lock", "version = 4\n[[package]]\nname = \"x\"\n", ""),
            ("poetry.lock", "", ""),
            ("pnpm-lock.yaml", "packages:\n  a: 1\n", ""),
            ("yarn.lock", conflict, line),
            ("Gemfile.lock", conflict, line),
            ("go.mod", "<<<<<<< no end\n", ""),
            ("README.md", conflict, ""),
        ];
        for (name, text, expected) in table {
            let found = problem(name, false, || Some(text.to_owned()));
            assert_eq!(found.unwrap_or_default(), expected, "{name} {text}");
        }
        let broken = || Some(String::from("{"));
        assert_eq!(problem("package-lock.json", true, broken), None);
        let yaml = problem("pnpm-lock.yaml", false, || {
            Some("packages:\n  a: {\n".to_owned())
        });
        assert_eq!(
            yaml.unwrap(),
            "is not valid YAML: line 2 column 6: unclosed bracket '{'; its packages were not scanned"
        );
    }
}
