//! From a path in the test container to a line of the repository.

mod frame;
mod index;

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use actions_toolkit::{Location, Workspace};
use docker::ImageInfo;

use frame::Frame;
pub(crate) use index::FileIndex;

use crate::request::Request;
use crate::test_image;
use crate::test_run::junit::Test;

/// Bytes of the longest path of Linux (`PATH_MAX`).
const PATH: usize = 4096;
/// Parts of the longest path of which every end is looked up.
const PARTS: usize = 64;
/// Bytes of the largest `go.mod` that is read.
const GO_MOD: usize = limits::MIB;
/// Frames of a traceback that are looked up, those next to the failure.
const FRAMES: usize = 100;

/// Where sources are, of build tools that name them by package and file (Maven, Gradle).
const SOURCE_ROOTS: &[&str] = &[
    "src/test/java",
    "src/test/kotlin",
    "src/test/scala",
    "src/test/groovy",
    "src/integrationTest/java",
    "src/main/java",
    "src/main/kotlin",
    "test",
    "src",
];
/// What the file of a class or a module ends with, where the two have the same path.
const MODULES: &[&str] = &[".py", ".java", ".kt"];
/// Parts at the end of a path from elsewhere that are enough to recognize a file of the repository.
const RECOGNIZED: usize = 2;

/// Resolves paths of the test container to files of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceMap {
    pub(crate) workspace: Workspace,
    /// The build context, in the workspace.
    pub(crate) context: PathBuf,
    /// The working directory of the tests, in the container.
    pub(crate) workdir: PathBuf,
    /// The path of the context's Go module, with which Go names its files: `example.com/app`.
    pub(crate) module: Option<String>,
    /// The files of the context.
    pub(crate) index: FileIndex,
}

impl SourceMap {
    /// For a container of `image`, which was built from the context of `request`.
    pub(crate) fn new(request: &Request, image: &ImageInfo) -> Self {
        Self {
            workspace: request.workspace.clone(),
            context: request.build.context.clone(),
            workdir: image.config.working_dir.clone().into(),
            module: module(&request.build.context),
            index: FileIndex::default(),
        }
    }

    /// The source line of a failed test: the last line of the test's own file in `traceback` (the failed assertion), or
    /// else the line in the report.
    pub(crate) fn locate(&self, test: &Test, traceback: &str) -> Option<Location> {
        let first = traceback.lines().find_map(Frame::new);
        let lines = traceback.lines();
        let lines: Box<dyn Iterator<Item = &str>> = match first {
            Some(Frame {
                is_last_call_first: true,
                ..
            }) => Box::new(lines),
            _ => Box::new(lines.rev()),
        };
        let frames = lines.filter_map(Frame::new).take(FRAMES);
        let frames: Vec<_> = frames
            .filter_map(|frame| Some((self.of_frame(&frame, &test.class)?, frame.line)))
            .collect();
        let own = if let Some(file) = &test.file {
            self.file(file)?
        } else {
            // That of its class; else the frame next to the failure in a file of the repository.
            let mut files = frames.iter().map(|(file, _)| file);
            let of_class = files.clone().find(|file| is_module(file, &test.class));
            let of_suite = || test.suite_file.as_deref().and_then(|file| self.file(file));
            let of_frame = of_class.or_else(|| files.next()).cloned();
            of_frame
                .or_else(of_suite)
                .or_else(|| self.of_class(&test.class))?
        };
        let asserted = frames.iter().find(|(file, _)| *file == own);
        Some(Location {
            line: asserted.map(|(_, line)| *line).or(test.line),
            file: own,
            end_line: None,
        })
    }

    // The file of a class or a module that no traceback names (`pytest --tb=no`).
    fn of_class(&self, class: &str) -> Option<String> {
        if class.contains('/') {
            return self.file(class);
        }
        let class = class.split('$').next()?;
        let parts: Vec<_> = class.split('.').take(PARTS).collect();
        let mut names = (1..=parts.len())
            .rev()
            .map(|count| parts[..count].join("/"));
        names.find_map(|name| {
            let mut files = MODULES.iter().map(|end| format!("{name}{end}"));
            files.find_map(|file| self.file(&file).filter(|_| !name.is_empty()))
        })
    }

    fn of_frame(&self, frame: &Frame<'_>, class: &str) -> Option<String> {
        let named = match frame.package.as_deref() {
            None | Some("") => frame.file.to_owned(),
            Some(package) => format!("{package}/{}", frame.file),
        };
        // Go has the name alone, and the package as the class.
        let of_package = || {
            let parts = class.split('/').take(PARTS).collect::<Vec<_>>();
            let mut ends = (1..parts.len()).map(|skip| parts[skip..].join("/"));
            ends.find_map(|end| self.in_context(&Path::new(&end).join(&named)))
        };
        let is_name = !named.contains('/') && class.contains('/');
        is_name
            .then(of_package)
            .flatten()
            // A name alone may be that of a framework.
            .or_else(|| self.find(&named, named.contains('/')))
    }

    /// The file of the repository, relative to its root, from which `path` in the container was copied; `None` if there
    /// is no such file.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        self.find(path, true)
    }

    // The same; in all of the context, if it `is_searched`.
    fn find(&self, path: &str, is_searched: bool) -> Option<String> {
        if path.len() > PATH {
            return None;
        }
        // Of a report that was made for Windows.
        let path = if path.contains('\\') && !path.contains('/') {
            Cow::Owned(path.replace('\\', "/"))
        } else {
            Cow::Borrowed(path)
        };
        let path = Path::new(&*path);
        // The report is written by the code under test: its paths must not lead out of the context.
        let path = if path.components().any(|part| part == Component::ParentDir) {
            Cow::Owned(self.folded(path))
        } else {
            Cow::Borrowed(path)
        };
        if let Ok(inside) = path.strip_prefix(test_image::WORKSPACE) {
            let file = self.workspace.root().join(inside);
            if file.is_file() {
                return self.workspace.relative(&file);
            }
        }
        let inside = match path.strip_prefix(&self.workdir) {
            Ok(inside) => inside,
            Err(_) if path.is_absolute() => return self.outside_workdir(&path),
            Err(_) => &*path,
        };
        let in_module = || self.in_context(inside.strip_prefix(self.module.as_ref()?).ok()?);
        let of_package = || self.in_source_root(inside);
        let elsewhere = || is_searched.then(|| self.in_index(inside)).flatten();
        self.in_context(inside)
            .or_else(in_module)
            .or_else(of_package)
            .or_else(|| self.by_suffix(inside))
            .or_else(elsewhere)
    }

    // `path` without `..`, in the container; above the root is the root.
    fn folded(&self, path: &Path) -> PathBuf {
        let whole = Path::new("/").join(&self.workdir).join(path);
        let mut folded = PathBuf::new();
        for part in whole.components() {
            if part == Component::ParentDir {
                folded.pop();
            } else {
                folded.push(part);
            }
        }
        folded
    }

    // Relative to a directory of the context, such as that of a package or a module in it: the whole path is the end of one
    // file's. What is absolute, or begins with the host of a Go module, has more before that.
    fn in_index(&self, path: &Path) -> Option<String> {
        if is_installed(path) {
            return None;
        }
        let parts = index::named_parts(path);
        let count = parts.take(PARTS + 1).count();
        let is_of_module = index::named_parts(path)
            .next()
            .is_some_and(|first| first.contains('.') && !first.starts_with('.') && count > 1);
        let least = if path.is_absolute() || is_of_module {
            RECOGNIZED
        } else {
            count
        };
        if count > PARTS {
            return None;
        }
        let file = self.index.only(&self.context, path, least)?;
        self.in_context(file)
    }

    // Java's tools name a source by its package: `com/example/App.java`.
    fn in_source_root(&self, path: &Path) -> Option<String> {
        if !path.to_str().is_some_and(frame::is_of_jvm) {
            return None;
        }
        let mut paths = SOURCE_ROOTS.iter().map(|root| Path::new(root).join(path));
        paths.find_map(|path| self.in_context(&path))
    }

    // A file outside of the working directory may be a copy of the repository's, unless it was installed.
    fn outside_workdir(&self, path: &Path) -> Option<String> {
        if is_installed(path) || path.components().any(|part| part.as_os_str() == "lib") {
            return None;
        }
        let is_of_go = path.starts_with("/go/pkg/mod") || path.starts_with("/usr/local/go");
        self.by_suffix(path.strip_prefix("/").ok()?)
            .or_else(|| self.in_index(path).filter(|_| !is_of_go))
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
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let file = self.context.join(path);
        if !file.is_file() {
            return None;
        }
        self.workspace.relative(&file)
    }
}

// The first directive of `go.mod` (go.dev/ref/mod, "go.mod files"), which may be absent.
fn module(context: &Path) -> Option<String> {
    let text = limits::read_text(context, "go.mod".as_ref(), GO_MOD).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("module "))?;
    let path = line.split("//").next()?.trim().trim_matches('"');
    (!path.is_empty()).then(|| path.to_owned())
}

// Whether a file in the container is one of an installed package.
fn is_installed(path: &Path) -> bool {
    let mut parts = path.components();
    parts.any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some(
                "site-packages" | "dist-packages" | "node_modules" | "gems" | "registry" | "vendor"
            )
        )
    })
}

// Whether `file` is the module of `class`, `tests.test_app.TestHealth`; a module may have lost its first packages. Vitest and
// Playwright have the path itself there.
fn is_module(file: &str, class: &str) -> bool {
    if class.contains('/') {
        let before = file.strip_suffix(class);
        return before.is_some_and(|before| before.is_empty() || before.ends_with('/'));
    }
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
            module: None,
            index: FileIndex::default(),
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
            suite_file: None,
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
            suite_file: None,
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

    #[test]
    fn every_language_names_the_file_of_its_assertion() {
        let (directory, source_map) = source_map();
        let directory = directory.path();
        for file in [
            "app/test/sum.test.js",
            "app/internal/sum/sum_test.go",
            "app/main_test.go",
            "app/src/test/java/com/example/SumTest.java",
            "app/src/main/java/com/example/Sum.java",
        ] {
            let path = directory.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let source_map = SourceMap {
            workdir: "/app".into(),
            module: Some("example.com/app".to_owned()),
            ..source_map
        };
        let located = |class: &str, traceback: &str| {
            let location = source_map.locate(&test(class, None, None), traceback);
            location.map(|place| format!("{}:{}", place.file, place.line.unwrap_or_default()))
        };
        let java = "org.opentest4j.AssertionFailedError: expected: <0> but was: <-1>\n\tat org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:51)\n\tat com.example.Sum.check(Sum.java:9)\n\tat com.example.SumTest.adds(SumTest.java:17)\n\tat java.base/java.lang.reflect.Method.invoke(Method.java:568)";
        let table = [
            (
                "com.example.SumTest",
                java,
                "app/src/test/java/com/example/SumTest.java:17",
            ),
            (
                "example.com/app/internal/sum",
                "    sum_test.go:13: got -1, want 0",
                "app/internal/sum/sum_test.go:13",
            ),
            (
                "example.com/app",
                "    main_test.go:4: failed",
                "app/main_test.go:4",
            ),
        ];
        for (class, traceback, place) in table {
            assert_eq!(
                located(class, traceback).as_deref(),
                Some(place),
                "{traceback}"
            );
        }
        // Deep in a framework, the place is at the beginning.
        let deep = format!("{java}{}", "\n\tat a.b.C.d(C.java:1)".repeat(500));
        assert_eq!(
            located("com.example.SumTest", &deep).as_deref(),
            Some(table[0].2)
        );
        let report = include_str!("../tests/fixtures/reports/node.xml");
        let junit = crate::test_run::junit::Junit::parse(report).unwrap();
        let counts = junit.counts();
        assert_eq!((counts.total, counts.failed, counts.skipped), (3, 1, 1));
        let places = junit
            .failed()
            .map(|(test, _, text)| source_map.locate(test, text).unwrap());
        let places: Vec<_> = places.map(|place| (place.file, place.line)).collect();
        assert_eq!(places, [("app/test/sum.test.js".to_owned(), Some(10))]);
        for (path, file) in [
            (
                "example.com/app/internal/sum/sum_test.go",
                "app/internal/sum/sum_test.go",
            ),
            (
                "com/example/Sum.java",
                "app/src/main/java/com/example/Sum.java",
            ),
        ] {
            assert_eq!(source_map.file(path).as_deref(), Some(file));
        }
        assert_eq!(
            source_map.file("/github/workspace/README.md").as_deref(),
            Some("README.md")
        );
        assert_eq!(source_map.file("/github/workspace/../README.md"), None);
    }
    #[test]
    fn a_path_that_starts_somewhere_in_the_context_is_found() {
        let directory = tempfile::tempdir().unwrap();
        for file in [
            "services/api/tests/test_api.py",
            "services/api/conftest.py",
            "services/web/conftest.py",
            "services/web/src/sum.test.ts",
            "services/web/test/util.js",
            "core/src/main/java/com/example/App.java",
            "go/store/store.go",
            "node_modules/x/lib/x.js",
        ] {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let source_map = SourceMap {
            workspace: Workspace::new(directory.path()),
            context: directory.path().to_owned(),
            workdir: "/srv".into(),
            module: Some("example.com/app".to_owned()),
            index: FileIndex::default(),
        };
        let table = [
            // `cd services/api && pytest`, and `COPY services/api /srv`.
            ("tests/test_api.py", Some("services/api/tests/test_api.py")),
            ("test_api.py", Some("services/api/tests/test_api.py")),
            (
                "/srv/tests/test_api.py",
                Some("services/api/tests/test_api.py"),
            ),
            (
                "/code/tests/test_api.py",
                Some("services/api/tests/test_api.py"),
            ),
            // Two of one name.
            ("conftest.py", None),
            ("api/conftest.py", Some("services/api/conftest.py")),
            // With `..`, and separators of Windows.
            (
                "services/web/src/../test/util.js",
                Some("services/web/test/util.js"),
            ),
            (
                "/srv/x/../services/api/conftest.py",
                Some("services/api/conftest.py"),
            ),
            (
                "../../../services/api/conftest.py",
                Some("services/api/conftest.py"),
            ),
            (
                "services\\web\\test\\util.js",
                Some("services/web/test/util.js"),
            ),
            // A module of Maven, and one of Go.
            (
                "com/example/App.java",
                Some("core/src/main/java/com/example/App.java"),
            ),
            (
                "example.org/other/store/store.go",
                Some("go/store/store.go"),
            ),
            // Not of the project.
            ("other/test_api.py", None),
            ("x/lib/x.js", None),
            ("/usr/lib/tests/test_api.py", None),
            ("/go/pkg/mod/example.org/store/store.go", None),
        ];
        for (path, file) in table {
            assert_eq!(source_map.file(path).as_deref(), file, "{path}");
        }
        // No traceback: the class has the module, the path, or the package.
        for (class, file) in [
            ("tests.test_api.TestApi", "services/api/tests/test_api.py"),
            ("src/sum.test.ts", "services/web/src/sum.test.ts"),
            (
                "com.example.App$Nested",
                "core/src/main/java/com/example/App.java",
            ),
        ] {
            let location = source_map.locate(&test(class, None, None), "no trace");
            assert_eq!(
                location.map(|place| place.file).as_deref(),
                Some(file),
                "{class}"
            );
        }
        // A helper is next to the failure, and the test is the class.
        let trace = "AssertionError: x\n ❯ test/util.js:3:1\n ❯ src/sum.test.ts:5:20";
        let location = source_map.locate(&test("src/sum.test.ts", None, None), trace);
        let location = location.unwrap();
        assert_eq!(
            (location.file.as_str(), location.line),
            ("services/web/src/sum.test.ts", Some(5))
        );
    }
}
