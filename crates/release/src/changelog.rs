//! The section of the changelog for the version.

use anyhow::{Context as _, bail, ensure};

use crate::VERSION;
use xtask::{paths, progress};

/// Check that `version` is the workspace's, and that the changelog has a section for it.
///
/// # Errors
/// When it is another version, or the changelog has no section for it.
pub(crate) fn check(version: &str) -> anyhow::Result<()> {
    ensure!(
        version == VERSION,
        "version mismatch: the tag has {version}, `Cargo.toml` has {VERSION}; change one of them"
    );
    text().map(drop)
}

/// Print the section of the version.
///
/// # Errors
/// When there is none.
pub(crate) fn print() -> anyhow::Result<()> {
    progress::line(text()?);
    Ok(())
}

fn text() -> anyhow::Result<String> {
    let changelog = std::fs::read_to_string(paths::root().join("CHANGELOG.md"))
        .context("failed to read CHANGELOG.md")?;
    match section(&changelog, VERSION) {
        Some(text) => Ok(text),
        None => {
            bail!("`CHANGELOG.md` has no section `## {VERSION}` with a text; add what has changed")
        }
    }
}

// The text below `## VERSION`, which may continue with a date, up to the next heading of that level.
fn section(changelog: &str, version: &str) -> Option<String> {
    let is_it = |line: &str| {
        let rest = line
            .strip_prefix("## ")
            .and_then(|rest| rest.strip_prefix(version));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let lines = changelog.lines().skip_while(|line| !is_it(line)).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::section;

    #[test]
    fn a_version_has_its_own_text() {
        let changelog = "# Changelog\n\n## 1.10.0\n\n- new\n\n## 1.1.0 - 2026-11-01\n\n- old\n### Fixed\n- one\n\n## 1.0.0\n";
        for (version, text) in [
            ("1.10.0", Some("- new")),
            ("1.1.0", Some("- old\n### Fixed\n- one")),
            ("1.1", None),
            ("1.0.0", None),
            ("2.0.0", None),
        ] {
            assert_eq!(section(changelog, version).as_deref(), text, "{version}");
        }
    }
}
