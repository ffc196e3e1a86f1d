//! From a path in the test container to a line of the repository.

use std::path::{Component, Path, PathBuf};

use actions_toolkit::Location;
use docker::ImageInfo;

use crate::junit::Test;
use crate::request::Request;

/// Where the files of the test container come from.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    /// The folder of the checkout.
    pub(crate) workspace: PathBuf,
    /// The folder of the build context.
    pub(crate) context: PathBuf,
    /// The folder that the tests ran in, in the container.
    pub(crate) workdir: PathBuf,
}

impl Map {
    /// The files of a container of `image`, which was built as `request` says.
    pub(crate) fn of(request: &Request, image: &ImageInfo) -> Self {
        Self {
            workspace: request.workspace.clone(),
            context: request.context.clone(),
            workdir: image.config.working_dir.clone().into(),
        }
    }

    /// The line of the repository that a failed test points to: the last line of the test's own
    /// file that its text names (the failed assertion), else the line that the report gives.
    pub(crate) fn locate(&self, test: &Test, story: &str) -> Option<Location> {
        let mentions: Vec<_> = story.lines().filter_map(mention).collect();
        let file = match &test.file {
            Some(file) => file.as_str(),
            // Without a file, the last line of the text that is one of ours.
            None => {
                mentions
                    .iter()
                    .rev()
                    .find(|(file, _)| self.file(file).is_some())?
                    .0
            }
        };
        let own = self.file(file)?;
        let asserted = mentions
            .iter()
            .rev()
            .find(|(file, _)| self.file(file).as_ref() == Some(&own));
        Some(Location {
            line: asserted.map(|(_, line)| *line).or(test.line),
            file: own,
            end_line: None,
        })
    }

    /// The repository's file, relative to its root, that `path` in the container was copied from;
    /// `None` unless there is such a file.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        // The report is written by the code under test: it must not lead out of the context.
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let inside = match path.strip_prefix(&self.workdir) {
            Ok(inside) => inside,
            Err(_) if path.is_absolute() => return self.installed(path),
            Err(_) => path,
        };
        self.in_context(inside).or_else(|| self.by_its_end(inside))
    }

    // A file outside the folder of the tests may be a copy of ours, but not if it was installed.
    fn installed(&self, path: &Path) -> Option<String> {
        let foreign = |part: Component| {
            matches!(
                part.as_os_str().to_str(),
                Some("site-packages" | "dist-packages" | "node_modules" | "lib")
            )
        };
        if path.components().any(foreign) {
            return None;
        }
        self.by_its_end(path.strip_prefix("/").ok()?)
    }

    // `COPY src/ /app/src/` keeps the end of a path. A bare file name is too little to go by.
    fn by_its_end(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.components().collect();
        (1..parts.len().saturating_sub(1)).find_map(|skip| {
            let rest: PathBuf = parts[skip..].iter().collect();
            self.in_context(&rest)
        })
    }

    fn in_context(&self, path: &Path) -> Option<String> {
        let found = self.context.join(path);
        if !found.is_file() {
            return None;
        }
        let relative: PathBuf = found
            .strip_prefix(&self.workspace)
            .ok()?
            .components()
            .collect();
        Some(relative.to_str()?.to_owned())
    }
}

// `tests/test_app.py:12: AssertionError`, as pytest ends a traceback's entry.
fn mention(line: &str) -> Option<(&str, u32)> {
    let (file, rest) = line.trim().split_once(':')?;
    let number = rest.split(':').next()?;
    let plain = !file.is_empty() && !file.contains(char::is_whitespace);
    let line = number.parse().ok().filter(|line| *line > 0)?;
    plain.then_some((file, line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::junit::Outcome;

    fn map() -> (tempfile::TempDir, Map) {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "app/flask_app/app.py",
            "app/tests/test_app.py",
            "app/wsgi.py",
            "README.md",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let map = Map {
            workspace: folder.path().to_owned(),
            context: folder.path().join("./app"),
            workdir: "/srv/app".into(),
        };
        (folder, map)
    }

    #[test]
    fn container_paths_lead_to_files_of_the_repository() {
        let (_folder, map) = map();
        let table = [
            ("tests/test_app.py", Some("app/tests/test_app.py")),
            ("./wsgi.py", Some("app/wsgi.py")),
            ("/srv/app/tests/test_app.py", Some("app/tests/test_app.py")),
            (
                "/srv/app/src/flask_app/app.py",
                Some("app/flask_app/app.py"),
            ),
            ("/code/tests/test_app.py", Some("app/tests/test_app.py")),
            (
                "/opt/venv/lib/python3.13/site-packages/flask_app/app.py",
                None,
            ),
            ("/code/wsgi.py", None),
            ("tests/test_gone.py", None),
            ("../README.md", None),
            ("/etc/passwd", None),
            ("", None),
        ];
        for (path, file) in table {
            assert_eq!(map.file(path).as_deref(), file, "{path}");
        }
    }

    #[test]
    fn a_failed_test_points_to_its_assertion() {
        let (_folder, map) = map();
        let test = |file: Option<&str>, line| Test {
            class: String::new(),
            name: "t".into(),
            file: file.map(ToOwned::to_owned),
            line,
            seconds: 0.0,
            outcome: Outcome::Passed,
        };
        let story = "tests/test_app.py:9: \n_ _ _\ntests/test_app.py:14: AssertionError\n/usr/lib/x.py:3: in f\nE  a: b";
        let table = [
            (
                test(Some("tests/test_app.py"), Some(8)),
                story,
                Some(("app/tests/test_app.py", Some(14))),
            ),
            (
                test(Some("tests/test_app.py"), Some(8)),
                "no trace",
                Some(("app/tests/test_app.py", Some(8))),
            ),
            (
                test(Some("wsgi.py"), None),
                story,
                Some(("app/wsgi.py", None)),
            ),
            (
                test(None, None),
                story,
                Some(("app/tests/test_app.py", Some(14))),
            ),
            (test(None, Some(3)), "", None),
            (test(Some("gone.py"), Some(3)), story, None),
        ];
        for (test, story, expected) in table {
            let place = map.locate(&test, story);
            assert_eq!(
                place.as_ref().map(|p| (p.file.as_str(), p.line)),
                expected,
                "{test:?}"
            );
        }
    }
}
