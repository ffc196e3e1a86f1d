//! Running the tests in a container of the test stage.

use std::io::Read as _;
use std::time::Instant;

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, anyhow, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use futures_util::StreamExt as _;

use crate::coverage::{self, Coverage};
use crate::job::Job;
use crate::junit::{Junit, SIZE_LIMIT};
use crate::place::Map;
use crate::proof::{Evidence, SuiteProof, TestRun};
use crate::request::Tests;

/// The last lines that are kept for the report.
const TAIL: usize = 100;

/// Run the command of the test image, fetch its reports, and add all that to `proof`.
///
/// # Errors
/// A [`PolicyFailure`] when tests fail, or run too little of the code; another error when there is no verdict.
pub(crate) async fn run(
    job: &Job<'_>,
    tests: &Tests,
    image: &ImageInfo,
    proof: &mut SuiteProof,
) -> anyhow::Result<()> {
    let spec = ContainerSpec {
        image: image.id.clone(),
        // Unit tests that need the network are no unit tests; they would fail for another's reason.
        network: Some("none".to_owned()),
        security_opt: vec!["no-new-privileges".to_owned()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let start = Instant::now();
    let mut tail = Vec::new();
    let (container, ended) = {
        let _group = job
            .log
            .group(format!("Run the tests of stage `{}`", tests.target));
        let container = job.docker.start(&spec).await?;
        let ended = follow(job, &container, tests, &mut tail).await;
        (container, ended)
    };
    let time = start.elapsed();
    proof.built.evidence = Some(Evidence {
        title: "Last lines of the test run".to_owned(),
        lines: tail,
    });
    let code = ended?;

    let report = fetch(&container, &tests.junit_path, SIZE_LIMIT)
        .await
        .with_context(|| no_report(tests, code))?;
    let covered = fetch(&container, &tests.coverage_path, coverage::SIZE_LIMIT).await;
    // The container goes with the run's: its removal would be waited for here.
    let junit = std::str::from_utf8(&report)
        .map_err(|e| e.to_string())
        .and_then(Junit::parse);
    proof.junit_text = Some(report);
    let junit = junit.map_err(|problem| {
        anyhow!(
            "the JUnit report `{}` cannot be used: {problem}",
            tests.junit_path
        )
    })?;
    let verdict = verdict(&junit, code);
    let map = Map::of(job.request, image);
    let covered = read_coverage(tests, covered, &map);
    if verdict.is_ok() || junit.failed().next().is_some() {
        // The report says it better.
        proof.built.evidence = None;
    }
    proof.tests = Some(TestRun {
        new_failures: tests.baseline.as_ref().map(|base| junit.new_failures(base)),
        junit,
        time,
        map,
    });
    let covered = covered.map(|covered| proof.coverage = covered);
    verdict?;
    covered?;
    enough(tests, proof.coverage.as_ref())
}

// No report is no error as long as nobody asks for a share: not every project measures.
fn read_coverage(
    tests: &Tests,
    report: anyhow::Result<Vec<u8>>,
    map: &Map,
) -> anyhow::Result<Option<Coverage>> {
    let path = &tests.coverage_path;
    let report = match report {
        Ok(report) => report,
        Err(_) if tests.min_coverage.is_none() => return Ok(None),
        Err(e) => {
            return Err(e.context(format!(
                "the tests left no coverage report at `{path}`: let their command write one there (pytest: `--cov-report=xml:{path}`), set `coverage-path`, or do without `min-coverage`"
            )));
        }
    };
    Coverage::parse(&report, map)
        .map(Some)
        .map_err(|problem| anyhow!("the coverage report `{path}` cannot be used: {problem}"))
}

fn enough(tests: &Tests, coverage: Option<&Coverage>) -> anyhow::Result<()> {
    match (tests.min_coverage, coverage) {
        (Some(limit), Some(coverage)) if !coverage.reaches(limit) => Err(PolicyFailure(format!(
            "the tests run {} % of the code, and `min-coverage` is {limit}",
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
    tail: &mut Vec<String>,
) -> anyhow::Result<i64> {
    let printed = job.log.stop_commands();
    let work = async {
        let mut lines = std::pin::pin!(container.logs());
        while let Some(line) = lines.next().await {
            let line = line?;
            printed.raw(&line);
            if tail.len() == TAIL {
                tail.remove(0);
            }
            tail.push(line);
        }
        container.wait().await
    };
    let limit = ("test-timeout", tests.timeout);
    with_timeout(job.ctx.log(), "the test run", limit, work).await?
}

fn no_report(tests: &Tests, code: i64) -> String {
    format!(
        "the tests ended with exit code {code} and left no JUnit report at `{path}`: let the command of \
         stage `{stage}` write one there (pytest: `--junitxml={path}`), or set `junit-path`",
        path = tests.junit_path,
        stage = tests.target,
    )
}

async fn fetch(container: &Container, path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    let tar = container.copy_out(path, limit).await?;
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entry = archive
        .entries()?
        .next()
        .context("it is an empty archive")??;
    if !entry.header().entry_type().is_file() {
        bail!("`{path}` is no file");
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(content)
}

/// The verdict on a run that ended with exit code `code` and left `junit`.
///
/// # Errors
/// A [`PolicyFailure`] when a test failed or the command says that something else did; another
/// error when nothing was tested, or the run was killed.
fn verdict(junit: &Junit, code: i64) -> anyhow::Result<()> {
    let counts = junit.counts();
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
        let of = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "{} of {of} failed: {}{more}",
            counts.failed,
            names.join(", ")
        ))
        .into());
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
            "{what} (exit code {code}): nothing is proven; is the test command looking in the right folder?"
        );
    }
    if code != 0 {
        let tests = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "the test command ended with exit code {code}, though none of {tests} failed: see the last \
             lines of its log (a linter, a coverage limit, or an error outside of the tests)"
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
    fn only_tests_that_ran_and_passed_are_a_proof() {
        let (pass, skip, fail) = (
            "<testcase name='a'/>",
            "<testcase name='s'><skipped/></testcase>",
            "<testcase classname='m' name='f'><failure/></testcase>",
        );
        let table = [
            (format!("{pass}{skip}"), 0, None),
            (fail.to_owned(), 1, Some((1, "1 of 1 test failed: m::f"))),
            // The report counts, whatever the exit code says.
            (
                format!("{pass}{fail}"),
                0,
                Some((1, "1 of 2 tests failed: m::f")),
            ),
            (
                fail.repeat(5),
                137,
                Some((1, "5 of 5 tests failed: m::f, m::f, m::f, …")),
            ),
            (
                String::new(),
                5,
                Some((
                    2,
                    "no test was found (exit code 5): nothing is proven; is the test command looking in the right folder?",
                )),
            ),
            (
                skip.to_owned(),
                0,
                Some((
                    2,
                    "every test was skipped (exit code 0): nothing is proven; is the test command looking in the right folder?",
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
                    "the test command ended with exit code 1, though none of 1 test failed: see the last lines of its log (a linter, a coverage limit, or an error outside of the tests)",
                )),
            ),
        ];
        for (cases, code, expected) in table {
            let junit = Junit::parse(&format!("<testsuite>{cases}</testsuite>")).unwrap();
            let verdict = verdict(&junit, code).err();
            let got = verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()));
            assert_eq!(
                got.as_ref().map(|(code, text)| (*code, text.as_str())),
                expected,
                "{cases}"
            );
        }
    }
}
