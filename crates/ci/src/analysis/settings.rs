//! Files of the checkout from which linters take their settings. They are the project's, and a change of them can turn a
//! linter off: the summary names them.

use std::collections::BTreeMap;
use std::path::Path;

use actions_toolkit::text;
use anyhow::bail;
use docker::Container;

use super::linters::{LINTERS, Linter};

/// Bytes of the largest file with settings that is read.
pub(super) const LIMIT: usize = limits::MIB;
/// Entries of the build context that are looked at.
const ENTRIES: usize = 20_000;
/// Files that are named.
const NAMED: usize = 20;

/// A file with settings of a linter.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: &'static str,
    /// The start of the section with the linter's own settings; empty if the whole file is the linter's.
    pub(super) section: &'static str,
}

/// The files in the build context `context` from which `linters` take settings, relative to it.
pub(super) fn of_linters(context: &Path, linters: &[&'static Linter]) -> Vec<String> {
    let all: Vec<_> = linters.iter().flat_map(|linter| linter.settings).collect();
    // Some linters read those of each directory.
    let entries = walkdir::WalkDir::new(context)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git" && entry.file_name() != "node_modules")
        .take(ENTRIES)
        .filter_map(Result::ok);
    let paths = entries.filter_map(|entry| {
        let path = entry.path().strip_prefix(context).ok()?;
        let mut of_name = all.iter().filter(|file| entry.file_name() == file.name);
        let is_used = of_name.any(|file| file.is_in(context, path));
        is_used.then(|| path.display().to_string())
    });
    paths.take(NAMED).collect()
}

/// The file in the build context from which `linter` takes its settings, the first one that it looks for; an error if
/// that makes it run a program: in a container of the test stage it may do that, next to this process it may not.
pub(super) fn on_runner(context: &Path, linter: &Linter) -> anyhow::Result<&'static str> {
    for file in linter.settings {
        let Some(text) = file.text(context, file.name.as_ref()) else {
            continue;
        };
        let mut lines = text.lines().map(str::trim_start);
        let starts =
            |line: &str, key: &&str| line.trim_start_matches(['"', '\'']).starts_with(*key);
        if let Some(line) = lines.find(|line| linter.programs.iter().any(|key| starts(line, key))) {
            let line = text::cut(line, 100);
            bail!(
                "`{}` has the setting `{line}`, which runs code of the checkout on the runner; install the linter in the test stage",
                file.name
            );
        }
        return Ok(file.name);
    }
    Ok("")
}

/// The texts of the files with settings on which arguments depend, by their names: those that are where the linters run. A stage
/// need not have what the checkout has.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeMap<&'static str, String>);

impl Texts {
    /// Those of the directory `context`.
    pub(super) fn of_context(context: &Path) -> Self {
        let texts = Self::names().filter_map(|name| {
            let text = limits::read_text(context, name.as_ref(), LIMIT);
            Some((name, text.ok()?))
        });
        Self(texts.collect())
    }

    /// Those of the directory `workdir` in `container`.
    pub(super) async fn of_container(container: &Container, workdir: &str) -> Self {
        let mut texts = BTreeMap::new();
        for name in Self::names() {
            let path = format!("{}/{name}", workdir.trim_end_matches('/'));
            // What cannot be read has no settings for its linter, either.
            if let Ok(Some(content)) = container.read_file(&path, LIMIT).await {
                texts.insert(name, String::from_utf8_lossy(&content).into_owned());
            }
        }
        Self(texts)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        let all = LINTERS.iter().filter(|linter| linter.reads_texts());
        let mut names: Vec<_> = all
            .flat_map(|linter| linter.settings)
            .map(|file| file.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// The text of the file `name`, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the settings of `linter` have one of `keys` in its own section.
    pub(super) fn has_key(&self, linter: &Linter, keys: &[&str]) -> bool {
        // It reads the first one only.
        let mut files = linter.settings.iter();
        let first = files.find_map(|file| {
            let text = self.get(file.name)?;
            text.contains(file.section).then_some((file, text))
        });
        first.is_some_and(|(file, text)| has_key(text, file.section, linter, keys))
    }
}

/// Whether the `section` of `linter` in `text` has one of `keys`; the section is empty for the own file of `linter`.
pub(super) fn has_key(text: &str, section: &str, linter: &Linter, keys: &[&str]) -> bool {
    let own = format!("[{}]", linter.program);
    let of_section = |line: &str| match section {
        // `[mypy-tests.*]` is about other modules.
        "" => line == own,
        section => line.trim_end_matches(']') == section,
    };
    let mut is_in = false;
    text.lines().map(str::trim).any(|line| {
        let header = line.split(['#', ';']).next().unwrap_or_default().trim_end();
        if header.starts_with('[') && header.ends_with(']') {
            is_in = of_section(header);
            return false;
        }
        let key = line.split(['=', ':']).next().unwrap_or_default().trim();
        is_in && line.len() > key.len() && keys.contains(&key.trim_matches(['"', '\'']))
    })
}

impl Settings {
    fn is_in(&self, context: &Path, path: &Path) -> bool {
        self.section.is_empty() || self.text(context, path).is_some()
    }

    // The text of a file with the section.
    fn text(&self, context: &Path, path: &Path) -> Option<String> {
        let text = limits::read_text(context, path, LIMIT).ok()?;
        text.contains(self.section).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn files_with_settings_are_named() {
        let directory = context(&[
            ("ruff.toml", "exclude = ['*']"),
            ("sub/pyproject.toml", "[tool.ruff.lint]"),
            ("pyproject.toml", "[project]"),
            ("setup.cfg", "[mypy]\nignore_errors = true"),
            ("node_modules/x/ruff.toml", ""),
            ("app.py", ""),
        ]);
        let all: Vec<_> = LINTERS.iter().collect();
        let expected = ["ruff.toml", "setup.cfg", "sub/pyproject.toml"];
        assert_eq!(of_linters(directory.path(), &all), expected);
        assert_eq!(
            of_linters(directory.path(), &all[3..]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn files_of_mypy_are_those_of_its_own_section() {
        let mypy = LINTERS.iter().find(|linter| linter.name == "mypy").unwrap();
        let table = [
            ("pyproject.toml", "[tool.mypy]\nfiles = [\"app\"]\n", true),
            (
                "pyproject.toml",
                "[tool.mypy]\nstrict = true\n[tool.other]\nfiles = [\"app\"]\n",
                false,
            ),
            (
                "pyproject.toml",
                "[[tool.mypy.overrides]]\nmodule = \"x\"\n",
                false,
            ),
            (
                "setup.cfg",
                "[mypy]\npackages: app\n[mypy-tests.*]\nignore_errors = True\n",
                true,
            ),
            (
                "mypy.ini",
                "[mypy]\n# files = app\n[mypy-x]\nfiles = y\n",
                false,
            ),
            ("mypy.ini", "[mypy]\nmodules = app\n", true),
            (
                "pyproject.toml",
                "[tool.mypy] # strict\nfiles = [\"app\"]\n[tool.x] # y\n",
                true,
            ),
            ("setup.cfg", "[mypy] ; own\nfiles = app\n", true),
            ("app.py", "files = 1", false),
        ];
        for (name, text, expected) in table {
            let context = context(&[(name, text)]);
            let texts = Texts::of_context(context.path());
            let has = texts.has_key(mypy, &["files", "modules", "packages"]);
            assert_eq!(has, expected, "{name}: {text}");
        }
    }

    #[test]
    fn settings_that_run_programs_are_rejected_on_the_runner() {
        let mypy = LINTERS.iter().find(|linter| linter.name == "mypy").unwrap();
        let on_runner = |files: &[_]| {
            let context = context(files);
            on_runner(context.path(), mypy).map_err(|e| e.to_string())
        };
        assert_eq!(on_runner(&[]), Ok(""));
        let plain = ("pyproject.toml", "[tool.mypy]\nstrict = true\n");
        assert_eq!(on_runner(&[plain]), Ok("pyproject.toml"));
        let table = [
            ("mypy.ini", "[mypy]\nplugins = ./evil.py\n"),
            (".mypy.ini", "[mypy]\n  plugins=./evil.py\n"),
            ("setup.cfg", "[mypy]\npython_executable: ./evil\n"),
            ("pyproject.toml", "[tool.mypy]\n\"plugins\" = ['evil']\n"),
        ];
        for (name, text) in table {
            let error = on_runner(&[(name, text)]).unwrap_err();
            let start = format!("`{name}` has the setting `");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
