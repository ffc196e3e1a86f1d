//! The test run, in a container of the test stage.

pub(crate) mod coverage;
pub(crate) mod junit;
mod reports;
mod xml;

use std::collections::VecDeque;
use std::time::Instant;

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, anyhow, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use futures_util::StreamExt as _;
use limits::Shown;

use crate::job::Job;
use crate::outcome::{LogTail, TestOutcome, TestRun};
use crate::request::{TestImage, Tests};
use crate::services::{self, Outside};
use crate::source_map::SourceMap;

use coverage::Coverage;
use junit::Junit;
use reports::{COVERAGE, JUNIT, PYTEST, ReportFile, Written};

/// Lines of the log that are kept for the report.
const TAIL: usize = 100;

/// Run the command of the test image, fetch its reports, and add the results to `outcome`.
///
/// # Errors
/// A [`PolicyFailure`] when tests fail or the coverage is too low; another error when there is no verdict.
pub(crate) async fn run(
    job: &Job<'_>,
    tests: &Tests,
    image: &ImageInfo,
    outcome: &mut TestOutcome,
) -> anyhow::Result<()> {
    let service = tests.service.as_ref();
    let started = services::start(job, "tests", tests.outside, service).await?;
    let shell = tests.command.as_ref().map(|_| ["/bin/sh", "-ec"]);
    let spec = ContainerSpec {
        image: image.id.clone(),
        entrypoint: shell.into_iter().flatten().map(str::to_owned).collect(),
        cmd: tests.command.iter().cloned().collect(),
        env: environment(tests, image),
        // Unit tests do not depend on the network, and must not fail because of it.
        network: started.network.clone().or_else(|| {
            let network = match tests.outside {
                Outside::Unreachable => "none",
                Outside::Reachable => "bridge",
            };
            Some(network.to_owned())
        }),
        security_opt: vec!["no-new-privileges".to_owned()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let spec = match service {
        // A stage has its own user and directories.
        Some(service) if tests.target == TestImage::Image => {
            let spec = ContainerSpec {
                user: service.user.clone(),
                working_dir: service.working_dir.clone(),
                tmpfs: service.tmpfs.clone(),
                ..spec
            };
            started.with_mounts(spec, service)?
        }
        _ => spec,
    };
    let start = Instant::now();
    let mut tail = VecDeque::new();
    let (container, exit) = {
        let title = format!("Run the tests of {}", tests.target);
        let _group = job.log.group(job.title(title));
        let container = job.docker.start(&spec).await?;
        let exit = follow(job, &container, tests, &mut tail).await;
        (container, exit)
    };
    let time = start.elapsed();
    outcome.build.log_tail = Some(LogTail {
        title: "Last lines of the test run".to_owned(),
        lines: tail.into(),
    });
    let code = exit?;

    let exit = Exit {
        code,
        is_out_of_memory: code != 0 && container.is_out_of_memory().await,
    };
    let limit = ("test-timeout", tests.timeout);
    let read = read_reports(job, image, &container, tests, exit);
    let reports = with_timeout(job.ctx.log(), "reading the test reports", limit, read).await??;
    // The container is removed with those of the run: here, the step would wait for it.
    outcome.junit_text = Some(reports.junit_text);
    outcome.coverage_text = reports.coverage_text;
    let junit = reports.junit.map_err(|problem| anyhow!(problem))?;
    let verdict = verdict(&junit, exit);
    let coverage = check_report(tests, reports.coverage);
    if verdict.is_ok() || junit.failed().next().is_some() {
        // The report has more details than the log.
        outcome.build.log_tail = None;
    }
    if let Some(difference) = &junit.difference {
        job.log
            .warning(format!("the JUnit report is incomplete: {difference}"));
    }
    outcome.run = Some(TestRun {
        new_failures: tests.baseline.as_ref().map(|base| junit.new_failures(base)),
        junit,
        time,
        source_map: SourceMap::new(job.request, image),
    });
    let difference = coverage
        .as_ref()
        .ok()
        .and_then(|coverage| coverage.as_ref()?.difference());
    if let Some(difference) = difference {
        job.log.warning(difference);
    }
    let coverage = coverage.map(|coverage| outcome.coverage = coverage);
    verdict?;
    coverage?;
    check_coverage(tests, outcome.coverage.as_ref())
}

// With a command that may be a stranger's, pytest is asked for a report by its environment; its own options come after that.
fn environment(tests: &Tests, image: &ImageInfo) -> Vec<String> {
    const NAME: &str = "PYTEST_ADDOPTS=";
    let mut env = tests.env.clone();
    let of_image = image
        .config
        .env
        .iter()
        .find_map(|pair| pair.strip_prefix(NAME));
    let is_set = env.iter().any(|pair| pair.starts_with(NAME));
    if tests.command.is_some() && tests.junit_paths.is_empty() && !is_set {
        let options = of_image
            .map(|options| format!("{options} "))
            .unwrap_or_default();
        env.push(format!("{NAME}{options}--junitxml={PYTEST}"));
    }
    env
}

/// How the test command ended.
#[derive(Debug, Clone, Copy)]
struct Exit {
    code: i64,
    is_out_of_memory: bool,
}

/// The reports of a run.
struct Reports {
    /// All of them, as one document.
    junit_text: Vec<u8>,
    junit: Result<Junit, String>,
    /// With its path; the inner error if it is invalid, the outer one if it is missing.
    coverage: anyhow::Result<(String, Result<Coverage, String>)>,
    /// If it is copied.
    coverage_text: Option<Vec<u8>>,
}

// The code under test writes them. They are parsed outside of the runtime's thread, which keeps timeouts and signals; their
// size bounds the time.
async fn read_reports(
    job: &Job<'_>,
    image: &ImageInfo,
    container: &Container,
    tests: &Tests,
    exit: Exit,
) -> anyhow::Result<Reports> {
    let written = Written::new(container, &image.config.working_dir);
    let files = written.junit(&tests.junit_paths, job.log).await;
    let files = files.context("failed to read the JUnit report")?;
    if files.is_empty() {
        bail!(no_report(tests, exit));
    }
    let coverage = written
        .coverage(tests.coverage_path.as_deref(), job.log)
        .await;
    let source_map = SourceMap::new(job.request, image);
    let is_copied = tests.coverage_file.is_some();
    let copied = coverage.as_ref().ok().filter(|_| is_copied);
    let coverage_text = copied.map(|file| file.content.clone());
    let parse = move || Reports {
        coverage_text,
        junit: parse(&files, exit.code),
        junit_text: reports::as_one(files),
        coverage: coverage.map(|file| {
            let coverage = Coverage::parse(&file.content, &source_map);
            (file.path, coverage)
        }),
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    parsed.context("failed to parse the test reports")
}

fn parse(files: &[ReportFile], code: i64) -> Result<Junit, String> {
    let mut all: Option<Junit> = None;
    for file in files {
        let text = std::str::from_utf8(&file.content).map_err(|e| e.to_string());
        let junit = text.and_then(|text| Junit::of_run(text, code));
        let junit =
            junit.map_err(|e| format!("the JUnit report `{}` is invalid: {e}", file.path))?;
        match &mut all {
            Some(all) => all.append(junit),
            None => all = Some(junit),
        }
    }
    Ok(all.unwrap_or_default())
}

// A missing report is an error only with `min-coverage`: not every project measures its coverage.
fn check_report(
    tests: &Tests,
    report: anyhow::Result<(String, Result<Coverage, String>)>,
) -> anyhow::Result<Option<Coverage>> {
    let path = tests.coverage_path.as_deref().unwrap_or(COVERAGE);
    match report {
        Ok((_, Ok(coverage))) => Ok(Some(coverage)),
        Ok((path, Err(problem))) => Err(anyhow!(
            "the coverage report `{path}` is invalid: {problem}"
        )),
        Err(_) if tests.min_coverage.is_none() => Ok(None),
        Err(e) => Err(e.context(format!(
            "the tests left no coverage report at `{path}`; let their command write one there (pytest: `--cov-report=xml:{path}`), set `coverage-path`, or remove `min-coverage`"
        ))),
    }
}

fn check_coverage(tests: &Tests, coverage: Option<&Coverage>) -> anyhow::Result<()> {
    match (tests.min_coverage, coverage) {
        (Some(min), Some(coverage)) if !coverage.reaches(min) => Err(PolicyFailure(format!(
            "the tests cover {} % of the code, below the `min-coverage` of {min} %",
            coverage.percent()
        ))
        .into()),
        _ => Ok(()),
    }
}

async fn follow(
    job: &Job<'_>,
    container: &Container,
    tests: &Tests,
    tail: &mut VecDeque<String>,
) -> anyhow::Result<i64> {
    let output = job.log.stop_commands();
    let mut shown = Shown::default();
    let work = async {
        let mut lines = std::pin::pin!(container.logs());
        while let Some(line) = lines.next().await {
            let line = line?;
            if shown.admits(&line) {
                output.raw(&line);
            }
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        container.wait().await
    };
    let limit = ("test-timeout", tests.timeout);
    let exit = with_timeout(job.ctx.log(), "the test run", limit, work).await;
    if let Some(note) = shown.omitted() {
        output.raw(&note);
    }
    exit?
}

fn no_report(tests: &Tests, exit: Exit) -> String {
    let path = tests.junit_paths.first().map_or(JUNIT, String::as_str);
    let place = match &tests.junit_paths[..] {
        [_, _, ..] => "any of `junit-path`".to_owned(),
        _ => format!("`{path}`"),
    };
    format!(
        "the tests exited with code {}{} and left no JUnit report at {place}; let the command of \
         {} write one there (pytest: `--junitxml={path}`), or set `junit-path`",
        exit.code,
        exit.out_of_memory(),
        tests.target,
    )
}

impl Exit {
    fn out_of_memory(self) -> &'static str {
        if self.is_out_of_memory {
            " (out of memory)"
        } else {
            ""
        }
    }

    // What the exit code says where the report has failed tests; nothing if it says the same.
    fn objection(self) -> String {
        match self.code {
            0 => "; the test command exited with code 0 all the same".to_owned(),
            code if self.is_out_of_memory => {
                format!(
                    "; the test command was killed for lack of memory (exit code {code}), so others may not have run"
                )
            }
            137 => "; the test command was killed (exit code 137), so others may not have run"
                .to_owned(),
            _ => String::new(),
        }
    }
}

/// The verdict on a run that exited with `code` and reported `junit`.
///
/// # Errors
/// A [`PolicyFailure`] when a test failed, or the command failed for another reason; another error when nothing was
/// tested, or the run was killed.
fn verdict(junit: &Junit, exit: Exit) -> anyhow::Result<()> {
    let (counts, code) = (junit.counts(), exit.code);
    if counts.failed > 0 {
        let names: Vec<_> = junit
            .failed()
            .take(3)
            .map(|(test, ..)| test.full_name())
            .collect();
        let more = if counts.failed > names.len() {
            ", …"
        } else {
            ""
        };
        let total = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "{} of {total} failed: {}{more}{}",
            counts.failed,
            names.join(", "),
            exit.objection()
        ))
        .into());
    }
    if exit.is_out_of_memory {
        bail!(
            "the test run was killed for lack of memory (exit code {code}), though none of its {} reported failed",
            text::plural(counts.total, "test")
        );
    }
    if code > 128 {
        bail!(
            "the test run was killed (exit code {code}): out of memory, or a crash of the test command"
        );
    }
    if counts.total == counts.skipped {
        let what = if counts.total == 0 {
            "no test was found"
        } else {
            "every test was skipped"
        };
        bail!(
            "{what} (exit code {code}), so nothing is verified; check the directory in which the test command looks"
        );
    }
    if code != 0 {
        let tests = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "the test command exited with code {code}, though none of {tests} failed; see the last lines of its log (a \
             linter, a coverage threshold, or an error outside of the tests)"
        ))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::ExitStatus;

    #[test]
    fn only_tests_that_ran_and_passed_are_a_success() {
        let (pass, skip, fail) = (
            "<testcase name='a'/>",
            "<testcase name='s'><skipped/></testcase>",
            "<testcase classname='m' name='f'><failure/></testcase>",
        );
        let table = [
            (format!("{pass}{skip}"), 0, None),
            (fail.to_owned(), 1, Some((1, "1 of 1 test failed: m::f"))),
            // The report decides, not the exit code.
            (
                format!("{pass}{fail}"),
                0,
                Some((
                    1,
                    "1 of 2 tests failed: m::f; the test command exited with code 0 all the same",
                )),
            ),
            (
                fail.repeat(5),
                137,
                Some((
                    1,
                    "5 of 5 tests failed: m::f, m::f, m::f, …; the test command was killed (exit code 137), so others may not have run",
                )),
            ),
            (
                String::new(),
                5,
                Some((
                    2,
                    "no test was found (exit code 5), so nothing is verified; check the directory in which the test command looks",
                )),
            ),
            (
                skip.to_owned(),
                0,
                Some((
                    2,
                    "every test was skipped (exit code 0), so nothing is verified; check the directory in which the test command looks",
                )),
            ),
            (
                pass.to_owned(),
                137,
                Some((
                    2,
                    "the test run was killed (exit code 137): out of memory, or a crash of the test command",
                )),
            ),
            (
                pass.to_owned(),
                1,
                Some((
                    1,
                    "the test command exited with code 1, though none of 1 test failed; see the last lines of its log (a linter, a coverage threshold, or an error outside of the tests)",
                )),
            ),
        ];
        for (cases, code, expected) in table {
            let junit = Junit::parse(&format!("<testsuite>{cases}</testsuite>")).unwrap();
            let exit = Exit {
                code,
                is_out_of_memory: false,
            };
            let verdict = verdict(&junit, exit).err();
            let actual = verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()));
            assert_eq!(
                actual.as_ref().map(|(code, text)| (*code, text.as_str())),
                expected,
                "{cases}"
            );
        }
    }

    #[test]
    fn lack_of_memory_is_named() {
        let exit = Exit {
            code: 137,
            is_out_of_memory: true,
        };
        let verdict = |case: &str| {
            let junit = Junit::parse(&format!("<testsuite>{case}</testsuite>")).unwrap();
            verdict(&junit, exit).unwrap_err().to_string()
        };
        assert_eq!(
            verdict("<testcase name='a'/>"),
            "the test run was killed for lack of memory (exit code 137), though none of its 1 test reported failed"
        );
        assert_eq!(
            verdict("<testcase name='a'><failure/></testcase>"),
            "1 of 1 test failed: a; the test command was killed for lack of memory (exit code 137), so others may not have run"
        );
    }
}
