//! From a path in the test container to a line of the repository.

use std::path::{Component, Path, PathBuf};

use actions_toolkit::{Location, Workspace};
use docker::ImageInfo;

use crate::request::Request;
use crate::test_run::junit::Test;

/// Bytes of the longest path of Linux (`PATH_MAX`).
const PATH: usize = 4096;
/// Parts of the longest path of which every end is looked up.
const PARTS: usize = 64;
/// Frames of a traceback that are looked up, the last ones.
const FRAMES: usize = 100;

/// Resolves paths of the test container to files of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceMap {
    pub(crate) workspace: Workspace,
    /// The build context, in the workspace.
    pub(crate) context: PathBuf,
    /// The working directory of the tests, in the container.
    pub(crate) workdir: PathBuf,
}

impl SourceMap {
    /// For a container of `image`, which was built from the context of `request`.
    pub(crate) fn new(request: &Request, image: &ImageInfo) -> Self {
        Self {
            workspace: request.workspace.clone(),
            context: request.build.context.clone(),
            workdir: image.config.working_dir.clone().into(),
        }
    }

    /// The source line of a failed test: the last line of the test's own file in `traceback` (the failed assertion), or
    /// else the line in the report.
    pub(crate) fn locate(&self, test: &Test, traceback: &str) -> Option<Location> {
        let frames = traceback.lines().rev().filter_map(frame).take(FRAMES);
        let frames: Vec<_> = frames
            .filter_map(|(file, line)| Some((self.file(file)?, line)))
            .collect();
        let own = if let Some(file) = &test.file {
            self.file(file)?
        } else {
            // That of its class; else the last frame in a file of the repository.
            let mut files = frames.iter().map(|(file, _)| file);
            let of_class = files.clone().find(|file| is_module(file, &test.class));
            of_class.or_else(|| files.next())?.clone()
        };
        let asserted = frames.iter().find(|(file, _)| *file == own);
        Some(Location {
            line: asserted.map(|(_, line)| *line).or(test.line),
            file: own,
            end_line: None,
        })
    }

    /// The file of the repository, relative to its root, from which `path` in the container was copied; `None` if there
    /// is no such file.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        if path.len() > PATH {
            return None;
        }
        let path = Path::new(path);
        // The report is written by the code under test: its paths must not lead out of the context.
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let inside = match path.strip_prefix(&self.workdir) {
            Ok(inside) => inside,
            Err(_) if path.is_absolute() => return self.outside_workdir(path),
            Err(_) => path,
        };
        self.in_context(inside).or_else(|| self.by_suffix(inside))
    }

    // A file outside of the working directory may be a copy of the repository's, unless it was installed.
    fn outside_workdir(&self, path: &Path) -> Option<String> {
        let is_of_packages = |part: Component| {
            matches!(
                part.as_os_str().to_str(),
                Some("site-packages" | "dist-packages" | "node_modules" | "lib")
            )
        };
        if path.components().any(is_of_packages) {
            return None;
        }
        self.by_suffix(path.strip_prefix("/").ok()?)
    }

    // `COPY src/ /app/src/` keeps the end of a path. A file name alone is ambiguous.
    fn by_suffix(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.components().collect();
        if parts.len() > PARTS {
            return None;
        }
        (1..parts.len().saturating_sub(1)).find_map(|skip| {
            let rest: PathBuf = parts[skip..].iter().collect();
            self.in_context(&rest)
        })
    }

    fn in_context(&self, path: &Path) -> Option<String> {
        let file = self.context.join(path);
        if !file.is_file() {
            return None;
        }
        self.workspace.relative(&file)
    }
}

// Whether `file` is the module of `class`, `tests.test_app.TestHealth`; a module may have lost its first packages.
fn is_module(file: &str, class: &str) -> bool {
    let Some((path, _)) = file.rsplit_once('.') else {
        return false;
    };
    let parts: Vec<_> = class.split('.').take(PARTS).collect();
    let modules = (1..=parts.len()).map(|count| parts[..count].join("/"));
    let mut modules = modules.filter(|module| !module.is_empty());
    modules.any(|module| {
        let before = path.strip_suffix(&module);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    })
}

// A line of a traceback that names a file and a line.
fn frame(line: &str) -> Option<(&str, u32)> {
    // pytest marks lines of an error, Python the frames of a group of exceptions.
    let line = line.trim_start();
    let marked = line.strip_prefix("E ").or_else(|| line.strip_prefix('|'));
    let line = marked.unwrap_or(line).trim_start();
    frame_of_python(line).or_else(|| frame_of_pytest(line.trim()))
}

// `File "/app/tests/test_app.py", line 12, in test_sum`, as Python and so unittest, nose2 and pytest's `--tb=native`
// print it.
fn frame_of_python(line: &str) -> Option<(&str, u32)> {
    let (file, rest) = line.strip_prefix("File \"")?.split_once("\", line ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let number = &rest[..end.unwrap_or(rest.len())];
    let line = number.parse().ok().filter(|line| *line > 0)?;
    (!file.is_empty()).then_some((file, line))
}

// `tests/test_app.py:12: AssertionError`, the last line of a frame of pytest.
fn frame_of_pytest(line: &str) -> Option<(&str, u32)> {
    let (file, rest) = line.split_once(':')?;
    let number = rest.split(':').next()?;
    let is_path = !file.is_empty() && !file.contains(char::is_whitespace);
    let line = number.parse().ok().filter(|line| *line > 0)?;
    is_path.then_some((file, line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::junit::Status;

    fn source_map() -> (tempfile::TempDir, SourceMap) {
        let directory = tempfile::tempdir().unwrap();
        for file in [
            "app/flask_app/app.py",
            "app/tests/test_app.py",
            "app/wsgi.py",
            "README.md",
        ] {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let source_map = SourceMap {
            workspace: Workspace::new(directory.path()),
            context: directory.path().join("./app"),
            workdir: "/srv/app".into(),
        };
        (directory, source_map)
    }

    #[test]
    fn paths_of_the_container_resolve_to_files_of_the_repository() {
        let (_directory, source_map) = source_map();
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
            assert_eq!(source_map.file(path).as_deref(), file, "{path}");
        }
    }

    #[test]
    fn a_traceback_is_searched_from_its_end_for_a_while() {
        let (_directory, source_map) = source_map();
        let test = Test {
            class: String::new(),
            name: "t".into(),
            file: None,
            line: None,
            seconds: 0.0,
            status: Status::Passed,
            later: String::new(),
        };
        let frames = |count| "gone/a/b/c.py:1: in f\n".repeat(count);
        let location = |count| {
            let traceback = format!("wsgi.py:3: in f\n{}", frames(count));
            source_map.locate(&test, &traceback)
        };
        assert_eq!(location(90).unwrap().line, Some(3));
        assert_eq!(location(100_000), None);
        assert_eq!(source_map.file(&"a/".repeat(1_000_000)), None);
    }

    fn test(class: &str, file: Option<&str>, line: Option<u32>) -> Test {
        Test {
            class: class.into(),
            name: "t".into(),
            file: file.map(ToOwned::to_owned),
            line,
            seconds: 0.0,
            status: Status::Passed,
            later: String::new(),
        }
    }

    #[test]
    fn a_failed_test_points_to_its_assertion() {
        let (_directory, source_map) = source_map();
        let test = |file, line| test("", file, line);
        let traceback = "tests/test_app.py:9: \n_ _ _\ntests/test_app.py:14: AssertionError\n/usr/lib/x.py:3: in f\nE  a: b";
        let table = [
            (
                test(Some("tests/test_app.py"), Some(8)),
                traceback,
                Some(("app/tests/test_app.py", Some(14))),
            ),
            (
                test(Some("tests/test_app.py"), Some(8)),
                "no trace",
                Some(("app/tests/test_app.py", Some(8))),
            ),
            (
                test(Some("wsgi.py"), None),
                traceback,
                Some(("app/wsgi.py", None)),
            ),
            (
                test(None, None),
                traceback,
                Some(("app/tests/test_app.py", Some(14))),
            ),
            (test(None, Some(3)), "", None),
            (test(Some("gone.py"), Some(3)), traceback, None),
        ];
        for (test, traceback, expected) in table {
            let location = source_map.locate(&test, traceback);
            assert_eq!(
                location.as_ref().map(|l| (l.file.as_str(), l.line)),
                expected,
                "{test:?}"
            );
        }
    }

    #[test]
    fn every_producer_of_a_traceback_names_the_assertion() {
        let (directory, source_map) = source_map();
        let directory = directory.path();
        std::fs::create_dir_all(directory.join("app/ut")).unwrap();
        std::fs::write(directory.join("app/ut/test_u.py"), "").unwrap();
        let table = [
            // unittest, nose2 and `pytest --tb=native`: a helper of the repository is not the test.
            (
                test("test_u.T", None, None),
                "Traceback (most recent call last):\n  File \"/srv/app/ut/test_u.py\", line 6, in test_bad\n    check(1)\n  \
                 File \"/srv/app/flask_app/app.py\", line 40, in check\n    assert x\nAssertionError: 1 != 2\n",
                Some(("app/ut/test_u.py", Some(6))),
            ),
            // xmlrunner has the line of the `def`.
            (
                test("ut.test_u.T", Some("ut/test_u.py"), Some(4)),
                "Traceback (most recent call last):\n  File \"/srv/app/ut/test_u.py\", line 6, in test_bad\n    \
                 self.fail()\n    ^^^^^\nAssertionError: None\n",
                Some(("app/ut/test_u.py", Some(6))),
            ),
            // `pytest --tb=short`, and `--tb=line`.
            (
                test("tests.test_app", None, None),
                "tests/test_app.py:12: in test_sum\n    check()\nflask_app/app.py:7: in check\n    assert 0\nE   assert 0",
                Some(("app/tests/test_app.py", Some(12))),
            ),
            (
                test("tests.test_app", None, None),
                "/srv/app/tests/test_app.py:6: assert (1 + 1) == 3",
                Some(("app/tests/test_app.py", Some(6))),
            ),
            // A module that can't be imported.
            (
                test("", None, None),
                "E     File \"/srv/app/tests/test_app.py\", line 3\nE       def\nE   SyntaxError: invalid syntax",
                Some(("app/tests/test_app.py", Some(3))),
            ),
            // A group of exceptions.
            (
                test("tests.test_app.T", None, None),
                "  + Exception Group Traceback (most recent call last):\n  |   File \"/srv/app/tests/test_app.py\", line 9, in t\n  \
                 | ExceptionGroup: two",
                Some(("app/tests/test_app.py", Some(9))),
            ),
        ];
        for (test, traceback, expected) in table {
            let location = source_map.locate(&test, traceback);
            let actual = location.as_ref().map(|l| (l.file.as_str(), l.line));
            assert_eq!(actual, expected, "{traceback}");
        }
        let report = include_str!("../tests/fixtures/reports/nose2.xml");
        let source_map = SourceMap {
            workdir: "/app".into(),
            ..source_map
        };
        let junit = crate::test_run::junit::Junit::parse(report).unwrap();
        let lines = junit
            .failed()
            .map(|(test, _, text)| source_map.locate(test, text).unwrap().line.unwrap());
        assert_eq!(lines.collect::<Vec<_>>(), [6, 8, 18, 18]);
    }
}
