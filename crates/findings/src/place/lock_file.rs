//! The line of a file that names a package: the one to change.

use std::collections::HashMap;

/// Whose packages they are: it decides how names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ecosystem {
    /// The Python Package Index.
    Python,
}

impl Ecosystem {
    /// The ecosystem of a result's type, as Trivy writes it.
    pub fn of(kind: &str) -> Option<Self> {
        matches!(
            kind,
            "python-pkg" | "pip" | "poetry" | "uv" | "pipenv" | "pylock"
        )
        .then_some(Self::Python)
    }
}

/// A file that names packages, and on which line it names which.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    // By the normal form of the name: version (empty where the file has none) and line.
    lines: HashMap<String, Vec<(String, u32)>>,
}

impl LockFile {
    /// The order in which the files of a folder are asked; nothing for a file that names no packages.
    pub fn rank(name: &str) -> Option<u8> {
        match name {
            "requirements.txt" => Some(0),
            "uv.lock" => Some(1),
            "poetry.lock" => Some(2),
            "pdm.lock" => Some(3),
            "Pipfile.lock" => Some(4),
            "pyproject.toml" => Some(6),
            name => {
                let rest = name.strip_prefix("requirements")?;
                rest.strip_suffix(".txt").map(|_| 5)
            }
        }
    }

    /// Read the file called `name`.
    pub fn read(name: &str, text: &str) -> Self {
        let found = match name {
            "uv.lock" | "poetry.lock" | "pdm.lock" => toml_packages(text),
            "Pipfile.lock" => json_packages(text),
            "pyproject.toml" => quoted_requirements(text),
            _ => requirements(text),
        };
        let mut lines: HashMap<String, Vec<(String, u32)>> = HashMap::new();
        for (name, version, line) in found {
            lines
                .entry(normal(&name))
                .or_default()
                .push((version, line));
        }
        Self { lines }
    }

    /// The line that names the package: the one with this version or, failing that, the first.
    pub fn line(&self, _: Ecosystem, name: &str, version: &str) -> Option<u32> {
        let named = self.lines.get(&normal(name))?;
        let exact = named.iter().find(|(locked, _)| locked == version);
        exact.or(named.first()).map(|(_, line)| *line)
    }
}

// The normal form of a project's name: packaging.python.org/en/latest/specifications/name-normalization.
fn normal(name: &str) -> String {
    let parts: Vec<_> = name
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-").to_ascii_lowercase()
}

type Named = (String, String, u32);

fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1_u32..).zip(text.lines().map(str::trim))
}

// A requirement of PEP 508, `Flask[async]==3.1.2 ; python_version > "3"`: its name and its exact version.
fn requirement(text: &str) -> Option<(String, String)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(text.len());
    let name = &text[..end];
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let version = text[end..].split_once("==").map_or("", |(_, rest)| {
        let rest = rest.trim_start_matches('=').trim_start();
        let end = rest.find([' ', ';', ',', '\\', '"', '\'']);
        &rest[..end.unwrap_or(rest.len())]
    });
    Some((name.to_owned(), version.to_owned()))
}

fn requirements(text: &str) -> Vec<Named> {
    let lines = numbered(text).filter(|(_, line)| !line.starts_with(['#', '-']));
    lines
        .filter_map(|(number, line)| {
            requirement(line).map(|(name, version)| (name, version, number))
        })
        .collect()
}

// `"flask>=3"` in any of a project's lists.
fn quoted_requirements(text: &str) -> Vec<Named> {
    let mut found = Vec::new();
    for (number, line) in numbered(text).filter(|(_, line)| !line.starts_with('#')) {
        // Every second piece is between quotes.
        let quoted = line.split('"').skip(1).step_by(2);
        found.extend(
            quoted
                .filter_map(requirement)
                .map(|(name, version)| (name, version, number)),
        );
    }
    found
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
    Some(rest.trim().trim_matches('"'))
}

// `[[package]]`, then its `name` and `version`.
fn toml_packages(text: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut inside = false;
    for (number, line) in numbered(text) {
        if line.starts_with('[') {
            inside = line == "[[package]]";
        } else if inside && let Some(name) = value(line, "name") {
            found.push((name.to_owned(), String::new(), number));
        } else if inside
            && let (Some(version), Some(last)) = (value(line, "version"), found.last_mut())
        {
            version.clone_into(&mut last.1);
        }
    }
    found
}

// `"flask": {`, then its `"version": "==3.1.2"`.
fn json_packages(text: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for (number, line) in numbered(text) {
        if let Some(name) = line.strip_suffix(": {").map(|name| name.trim_matches('"')) {
            found.push((name.to_owned(), String::new(), number));
        } else if let (Some(version), Some(last)) =
            (line.strip_prefix("\"version\": \"=="), found.last_mut())
        {
            version.trim_end_matches([',', '"']).clone_into(&mut last.1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_says_on_which_line_it_names_a_package() {
        let table: [(&str, &str, &str, &str, Option<u32>); 10] = [
            (
                "requirements.txt",
                "# by uv\n-r x.txt\nFlask[async]==3.1.2 \\\n    --hash=sha256:00\n",
                "flask",
                "3.1.2",
                Some(3),
            ),
            (
                "requirements.txt",
                "zope.interface==1\n",
                "zope-interface",
                "1",
                Some(1),
            ),
            ("requirements.txt", "flasky==1\n", "flask", "1", None),
            (
                "requirements.txt",
                "a==1 ; python_version < '3'\na==2\n",
                "a",
                "2",
                Some(2),
            ),
            ("requirements.txt", "a==1\n", "a", "9", Some(1)),
            (
                "uv.lock",
                "version = 1\n\n[[package]]\nname = \"flask\"\nversion = \"3.1.2\"\n[package.metadata]\nname = \"no\"\n",
                "Flask",
                "3.1.2",
                Some(4),
            ),
            (
                "poetry.lock",
                "[[package]]\nname = \"a\"\nversion = \"1\"\n[[package]]\nname = \"a\"\nversion = \"2\"\n",
                "a",
                "2",
                Some(5),
            ),
            (
                "Pipfile.lock",
                "{\n  \"default\": {\n    \"flask\": {\n      \"version\": \"==3.1.2\"\n",
                "flask",
                "3.1.2",
                Some(3),
            ),
            (
                "pyproject.toml",
                "[project]\ndependencies = [\n  \"flask>=3\",\n  \"gunicorn\",\n]\n",
                "gunicorn",
                "23",
                Some(4),
            ),
            (
                "pyproject.toml",
                "dependencies = [\"a\", \"b==2\"]\n",
                "b",
                "2",
                Some(1),
            ),
        ];
        for (file, text, name, version, line) in table {
            let read = LockFile::read(file, text);
            assert_eq!(
                read.line(Ecosystem::Python, name, version),
                line,
                "{file}: {name}"
            );
        }
    }
}
