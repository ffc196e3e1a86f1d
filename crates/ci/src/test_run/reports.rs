//! The reports that the tests left in their container: at a path, by a glob, or where their tools put them by default.

use actions_toolkit::{Log, glob};
use anyhow::{anyhow, bail};
use docker::Container;
use globset::GlobMatcher;

use super::{coverage, junit};

/// Where a JUnit report is looked for first.
pub(crate) const JUNIT: &str = "/results/junit.xml";
/// Where pytest writes a report by default if a command is given for it.
pub(crate) const PYTEST: &str = "/tmp/seaworthy-junit.xml";
/// Where a coverage report is looked for first.
pub(crate) const COVERAGE: &str = "/results/coverage.xml";
/// Reports of one run.
const FILES: usize = 1000;
/// Bytes that are read of files that may be coverage reports and are none.
const NOT_REPORTS: usize = 4 * coverage::SIZE_LIMIT;
/// Bytes at the start of a file that show what it is.
const START: usize = 4096;
/// Names that tools and tutorials give a JUnit report (`--junitxml=report.xml`, unittest-xml-reporting, Surefire, nose2, jest-junit,
/// behave and Karma, the loggers of .NET, `RSpec`).
const JUNIT_NAMES: &[&str] = &[
    "*junit*.xml",
    "TEST-*.xml",
    "TESTS-*.xml",
    "TestResult*.xml",
    "rspec*.xml",
    "report.xml",
    "results.xml",
    "pytest*.xml",
    "nosetests*.xml",
    "test-re*.xml",
    "test_re*.xml",
    "unit*.xml",
];
/// Names of a coverage report, the most precise format first.
const COVERAGE_NAMES: &[&str] = &[
    "coverage.xml",
    "cobertura*.xml",
    "*coverage*.xml",
    "coverage.json",
    "jacoco*.xml",
    "lcov.info",
    "coverage.lcov",
    "coverage.out",
    "cover.out",
    "*.coverprofile",
];

/// A report.
pub(super) struct ReportFile {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
}

/// What a container has written.
pub(super) struct Written<'a> {
    container: &'a Container,
    workdir: &'a str,
    has_workspace: bool,
}

impl<'a> Written<'a> {
    /// In `container`, whose relative paths are those in `workdir`. If it `has_workspace`, files of earlier steps are in it, which
    /// are not of this run.
    pub(super) fn new(container: &'a Container, workdir: &'a str, has_workspace: bool) -> Self {
        Self {
            container,
            workdir,
            has_workspace,
        }
    }

    /// The JUnit reports at `paths`, or where they are by default; empty if there are none.
    pub(super) async fn junit(
        &self,
        paths: &[String],
        log: &Log,
    ) -> anyhow::Result<Vec<ReportFile>> {
        if !paths.is_empty() {
            return self.at(paths, junit::SIZE_LIMIT).await;
        }
        let first = self.at(&[JUNIT.to_owned()], junit::SIZE_LIMIT).await?;
        if !first.is_empty() {
            return Ok(first);
        }
        let mut paths = self.found(JUNIT_NAMES).await?;
        // Those that repeat others may be the only ones.
        if paths.iter().any(|path| !is_repeated(path)) {
            paths.retain(|path| !is_repeated(path));
        }
        let (mut files, mut left, mut problem) = (Vec::new(), junit::SIZE_LIMIT, None);
        for path in paths.into_iter().take(FILES) {
            match self.container.read_file(&path, left).await {
                Ok(None) => {}
                Ok(Some(content)) => {
                    let file = ReportFile { path, content };
                    // What is no report takes no room.
                    if start(&file).contains("<testsuite") {
                        left -= file.content.len();
                        files.push(file);
                    }
                }
                Err(e) => {
                    problem.get_or_insert(e);
                }
            }
        }
        match problem {
            Some(problem) if files.is_empty() => return Err(problem),
            Some(problem) => log.warning(format!(
                "a file that may be another JUnit report is not read: {problem:#}"
            )),
            None => {}
        }
        for file in &files {
            log.info(format!(
                "JUnit report: `{}`, which the tests wrote",
                file.path
            ));
        }
        Ok(files)
    }

    /// The coverage report at `path`, or where it is by default; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, which is not to say that it is missing.
    pub(super) async fn coverage(
        &self,
        path: Option<&str>,
        log: &Log,
    ) -> anyhow::Result<Option<ReportFile>> {
        let paths = [path.unwrap_or(COVERAGE).to_owned()];
        let at = self.at(&paths, coverage::SIZE_LIMIT).await?;
        if let Some(file) = at.into_iter().next() {
            return Ok(Some(file));
        }
        if path.is_some() {
            return Ok(None);
        }
        let (mut problem, paths) = (None, self.found(COVERAGE_NAMES).await?);
        // One after the other: what is not a report has a size, too.
        let mut read_bytes = 0;
        for path in paths.into_iter().take(FILES) {
            if read_bytes > NOT_REPORTS {
                break;
            }
            let read = self.container.read_file(&path, coverage::SIZE_LIMIT).await;
            match read {
                Ok(None) => {}
                Ok(Some(content)) => {
                    read_bytes += content.len();
                    let file = ReportFile { path, content };
                    if is_coverage(&start(&file)) {
                        log.info(format!(
                            "coverage report: `{}`, which the tests wrote",
                            file.path
                        ));
                        return Ok(Some(file));
                    }
                }
                Err(e) => {
                    problem.get_or_insert(e);
                }
            }
        }
        problem.map_or(Ok(None), Err)
    }

    // The files at `paths`, which may have globs, of `limit` bytes together.
    async fn at(&self, paths: &[String], limit: usize) -> anyhow::Result<Vec<ReportFile>> {
        let paths = paths.iter().map(|path| absolute(self.workdir, path));
        let (globs, mut all): (Vec<_>, Vec<_>) =
            paths.partition(|path| path.contains(['*', '?', '[', '{']));
        let globs = globs.iter().map(|glob| matcher(glob));
        let globs = globs.collect::<anyhow::Result<Vec<_>>>()?;
        if self.has_workspace || !globs.is_empty() {
            let changed = self.container.changed_paths().await?;
            all.retain(|path| !self.has_workspace || changed.contains(path));
            let is_meant = |path: &String| globs.iter().any(|glob| glob.is_match(path));
            all.extend(changed.into_iter().filter(is_meant));
        }
        all.sort();
        all.dedup();
        self.read(&all, limit).await
    }

    // The changed files with one of `names`, in their order.
    async fn found(&self, names: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut changed = self.container.changed_paths().await?;
        changed.sort();
        let mut all: Vec<String> = Vec::new();
        for name in names {
            let glob = matcher(&format!("**/{name}"))?;
            let of_name = changed
                .iter()
                .filter(|path| glob.is_match(path) && !is_of_package(path) && !all.contains(path));
            let of_name: Vec<_> = of_name.cloned().collect();
            all.extend(of_name);
        }
        Ok(all)
    }

    async fn read(&self, paths: &[String], limit: usize) -> anyhow::Result<Vec<ReportFile>> {
        if paths.len() > FILES {
            bail!("there are {} reports, more than {FILES}", paths.len());
        }
        let mut left = limit;
        let mut files = Vec::new();
        for path in paths {
            if let Some(content) = self.container.read_file(path, left).await? {
                left -= content.len();
                let path = path.clone();
                files.push(ReportFile { path, content });
            }
        }
        Ok(files)
    }
}

// Whether a file that starts so is a coverage report.
fn is_coverage(start: &str) -> bool {
    let is_json = start.starts_with('{') && start.contains("\"files\"");
    let is_xml = start.contains("<coverage") || coverage::jacoco::is_jacoco(start);
    is_xml || is_json || coverage::lcov::is_lcov(start) || coverage::go::is_profile(start)
}

fn absolute(workdir: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let path = path.trim_start_matches("./");
    format!("{}/{path}", workdir.trim_end_matches('/'))
}

fn matcher(text: &str) -> anyhow::Result<GlobMatcher> {
    glob::paths(text).map_err(|problem| anyhow!("invalid glob {problem}"))
}

// Packages have reports of their own tests now and then.
fn is_of_package(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| {
        matches!(
            part,
            "site-packages" | "dist-packages" | "node_modules" | "proc" | "sys"
        )
    })
}

// Whether a report has tests that are in others: the summary of Ant, and what TestNG writes below the reports of Surefire.
fn is_repeated(path: &str) -> bool {
    path.ends_with("/TESTS-TestSuites.xml") || path.contains("/surefire-reports/junitreports/")
}

fn start(file: &ReportFile) -> String {
    let content = &file.content[..file.content.len().min(START)];
    String::from_utf8_lossy(content)
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_owned()
}

/// The reports as one document: a single one as it is, several in one `testsuites`.
pub(super) fn as_one(mut files: Vec<ReportFile>) -> Vec<u8> {
    if files.len() == 1 {
        return files.remove(0).content;
    }
    let suites = files.iter().map(|file| {
        let text = String::from_utf8_lossy(&file.content);
        suites(&text).to_owned()
    });
    let suites = suites.collect::<Vec<_>>().join("\n");
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<testsuites>\n{suites}\n</testsuites>\n")
        .into_bytes()
}

// The `testsuite` elements of a report.
fn suites(text: &str) -> &str {
    let mut rest = text;
    // The declaration, instructions and comments.
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ => break,
        };
        let Some(at) = rest.find(end) else {
            return "";
        };
        rest = &rest[at + end.len()..];
    }
    if !rest.starts_with("<testsuites") {
        return rest.trim_end();
    }
    let mut quote = None;
    let end = rest.char_indices().find(|(_, c)| match (quote, c) {
        (None, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        (Some(open), c) if open == *c => {
            quote = None;
            false
        }
        (None, '>') => true,
        _ => false,
    });
    let Some((end, _)) = end.filter(|(end, _)| !rest[..*end].ends_with('/')) else {
        return "";
    };
    let inside = &rest[end + 1..];
    let close = inside.rfind("</testsuites").unwrap_or(inside.len());
    inside[..close].trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::junit::Junit;

    fn file(content: &str) -> ReportFile {
        ReportFile {
            path: "/r.xml".into(),
            content: content.into(),
        }
    }

    #[test]
    fn several_reports_become_one_document() {
        let one = "<?xml version='1.0'?><testsuite name='a'><testcase name='1'/></testsuite>";
        assert_eq!(as_one(vec![file(one)]), one.as_bytes());
        let table = [
            (one, 1),
            ("<testsuite/>\n", 0),
            (
                "\u{feff}<!-- <testsuites> --><testsuites name='a>b' x=\"/\">\n<testsuite><testcase name='2'/></testsuite></testsuites>\n",
                1,
            ),
            ("<testsuites/>", 0),
            ("<testsuites tests='0'></testsuites>", 0),
        ];
        for (text, tests) in table {
            let merged = as_one(vec![file(one), file(text)]);
            let merged = String::from_utf8(merged).unwrap();
            assert_eq!(merged.matches("<testsuites>").count(), 1, "{merged}");
            let junit = Junit::parse(&merged).unwrap();
            assert_eq!(junit.counts().total, 1 + tests, "{merged}");
        }
    }

    #[test]
    fn reports_that_have_the_tests_of_others_are_not_read() {
        for (path, repeated) in [
            ("/app/build/TESTS-TestSuites.xml", true),
            (
                "/app/target/surefire-reports/junitreports/TEST-a.B.xml",
                true,
            ),
            ("/app/target/surefire-reports/TEST-TestSuite.xml", false),
            ("/app/reports/TESTS-login.xml", false),
        ] {
            assert_eq!(is_repeated(path), repeated, "{path}");
        }
    }

    #[test]
    fn globs_match_within_a_directory() {
        let matches = |glob: &str, path: &str| matcher(glob).unwrap().is_match(path);
        assert!(matches(
            "/app/reports/TEST-*.xml",
            "/app/reports/TEST-a.xml"
        ));
        assert!(!matches("/app/*.xml", "/app/reports/TEST-a.xml"));
        assert!(matches("/app/**/TEST-*.xml", "/app/a/b/TEST-a.xml"));
        assert!(matches("**/TEST-*.xml", "/app/TEST-a.xml"));
        assert_eq!(absolute("/app", "./r/*.xml"), "/app/r/*.xml");
        assert_eq!(absolute("", "r.xml"), "/r.xml");
        assert_eq!(absolute("/app", "/r.xml"), "/r.xml");
    }
}
