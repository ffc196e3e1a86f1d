//! Python packages (packaging.python.org/en/latest/specifications).

use std::collections::BTreeSet;

use super::{Ecosystem, FileName, PackageFile, PackageLine, Unlocked, numbered};

/// Parts of the names of files whose packages are for development.
const DEVELOPMENT: [&str; 9] = [
    "ci",
    "dev",
    "develop",
    "development",
    "docs",
    "lint",
    "test",
    "testing",
    "tests",
];

pub(super) const PYTHON: Ecosystem = Ecosystem {
    installed: Some("python-pkg"),
    normalize,
    files: &[
        PackageFile::lock("requirements.txt", "pip")
            .lines(requirements)
            .unlocked(Unlocked::Unpinned(unpinned)),
        PackageFile::lock("uv.lock", "uv").lines(|text| tables(text, "[[package]]")),
        PackageFile::lock("poetry.lock", "poetry").lines(|text| tables(text, "[[package]]")),
        PackageFile::unread_lock("pdm.lock").lines(|text| tables(text, "[[package]]")),
        PackageFile::lock("Pipfile.lock", "pipenv").lines(objects),
        // PEP 751.
        PackageFile::lock("pylock.toml", "pylock").lines(|text| tables(text, "[[packages]]")),
        PackageFile::new(FileName::Affixes("requirements", ".txt"))
            .lines(requirements)
            .unlocked(Unlocked::UnreadOrUnpinned(is_unread, unpinned)),
        PackageFile::new(FileName::Exact("Pipfile")).without_lock_file(pipfile_declares_packages),
        PackageFile::new(FileName::Exact("pyproject.toml"))
            .lines(quoted_requirements)
            .without_lock_file(declares_packages),
    ],
};

// packaging.python.org/en/latest/specifications/name-normalization
fn normalize(name: &str) -> String {
    let parts: Vec<_> = name
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-").to_ascii_lowercase()
}

// A requirement of PEP 508, `Flask[async]==3.1.2 ; python_version > "3"`: its name and its exact version.
fn requirement(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_at(name_end(text));
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let version = rest.split_once("==").map_or("", |(_, rest)| {
        let rest = rest.trim_start_matches('=').trim_start();
        let end = rest.find([' ', ';', ',', '\\', '"', '\'']);
        &rest[..end.unwrap_or(rest.len())]
    });
    Some((name, version))
}

fn name_end(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(text.len())
}

fn requirements(text: &str) -> Vec<PackageLine> {
    let lines = numbered(text).filter(|(_, line)| !line.starts_with(['#', '-']));
    lines
        .filter_map(|(number, line)| {
            requirement(line).map(|(name, version)| PackageLine::new(name, version, number))
        })
        .collect()
}

// `"flask>=3"` in any of a project's lists.
fn quoted_requirements(text: &str) -> Vec<PackageLine> {
    let mut lines = Vec::new();
    for (number, line) in numbered(text).filter(|(_, line)| !line.starts_with('#')) {
        // Every second piece is between quotes.
        let quoted = line.split('"').skip(1).step_by(2);
        lines.extend(
            quoted
                .filter_map(requirement)
                .map(|(name, version)| PackageLine::new(name, version, number)),
        );
    }
    lines
}

// Whether `[packages]` of a Pipfile has any; `[dev-packages]` are not delivered.
fn pipfile_declares_packages(text: &str) -> bool {
    let mut table = "";
    numbered(text).any(|(_, line)| {
        if line.starts_with('[') {
            table = line;
            return false;
        }
        table.starts_with("[packages]") && !line.starts_with('#') && line.contains('=')
    })
}

// Whether a project has dependencies: in `dependencies` of `[project]`, in a list of `[project.optional-dependencies]` or
// `[dependency-groups]`, or in a table of Poetry. What is needed to build it is not among them.
fn declares_packages(text: &str) -> bool {
    let mut table = "";
    let mut in_list = false;
    for (_, line) in numbered(text).filter(|(_, line)| !line.starts_with('#')) {
        if !in_list && line.starts_with('[') {
            table = line.trim_matches(['[', ']', ' ']);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or(("", line));
        let key = key.trim();
        let is_poetry = table.starts_with("tool.poetry.") && table.ends_with("dependencies");
        if is_poetry && !key.is_empty() && key != "python" {
            return true;
        }
        let starts = match table {
            "project" => key == "dependencies" || key == "optional-dependencies",
            "project.optional-dependencies" | "dependency-groups" => !key.is_empty(),
            _ => false,
        };
        if in_list || starts {
            // A requirement is quoted; a list of others, `{include-group = "test"}`, declares nothing itself.
            let list = if in_list { line } else { value };
            if list.contains(['"', '\'']) && !list.contains("include-group") {
                return true;
            }
            in_list = !list.contains(']');
        }
    }
    false
}

// The `name` and `version` of each table of the array `header`, `[[package]]`.
fn tables(text: &str, header: &str) -> Vec<PackageLine> {
    let mut lines: Vec<PackageLine> = Vec::new();
    let mut inside = false;
    for (number, line) in numbered(text) {
        if line.starts_with('[') {
            inside = line == header;
        } else if inside && let Some(name) = value(line, "name") {
            lines.push(PackageLine::new(name, "", number));
        } else if inside
            && let (Some(version), Some(last)) = (value(line, "version"), lines.last_mut())
        {
            version.clone_into(&mut last.version);
        }
    }
    lines
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
    Some(rest.trim().trim_matches('"'))
}

// `"flask": {`, then its `"version": "==3.1.2"`.
fn objects(text: &str) -> Vec<PackageLine> {
    let mut lines: Vec<PackageLine> = Vec::new();
    for (number, line) in numbered(text) {
        if let Some(name) = line.strip_suffix(": {").map(|name| name.trim_matches('"')) {
            lines.push(PackageLine::new(name, "", number));
        } else if let (Some(version), Some(last)) =
            (line.strip_prefix("\"version\": \"=="), lines.last_mut())
        {
            version
                .trim_end_matches([',', '"'])
                .clone_into(&mut last.version);
        }
    }
    lines
}

// Requirements without `==` (PEP 508); options, links and other files have their own lines.
fn unpinned(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut continues = false;
    for line in text.lines().map(str::trim) {
        let is_start = !continues;
        continues = line.ends_with('\\');
        if !is_start || line.is_empty() || line.starts_with(['#', '-', '.', '/']) || is_pinned(line)
        {
            continue;
        }
        let name = &line[..name_end(line)];
        if !name.is_empty() && !line.contains("://") {
            names.insert(name.to_owned());
        }
    }
    names
}

// `a==1`, and not `a==1.*` or `a; python_version=="3.9"`.
fn is_pinned(line: &str) -> bool {
    let own = line.split(';').next().unwrap_or_default();
    requirement(own).is_some_and(|(_, version)| !version.is_empty() && !version.contains('*'))
}

// Whether the file has versions that Trivy does not read: it reads `requirements.txt` alone
// (`pkg/fanal/analyzer/language/python/pip`). What is for development is not delivered.
fn is_unread(name: &str, text: &str) -> bool {
    let is_of_development = |part: &str| DEVELOPMENT.contains(&part);
    let is_delivered = !name.split(['-', '_', '.']).any(is_of_development);
    is_delivered && text.lines().map(str::trim).any(is_pinned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_without_a_version_are_unpinned() {
        let text = "# a\n-r base.txt\nflask==3 \\\n    --hash=sha256:0\nwerkzeug>=2.0\njinja2\nx @ https://example.com/x.whl\n";
        let names: Vec<_> = unpinned(text).into_iter().collect();
        assert_eq!(names, ["jinja2", "werkzeug"]);
        let text =
            "a==1.*\nb; python_version == \"3.9\"\nc==1; python_version == \"3.9\"\nd===1 # x\n";
        let names: Vec<_> = unpinned(text).into_iter().collect();
        assert_eq!(names, ["a", "b"]);
    }
}
