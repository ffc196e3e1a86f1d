//! The test run, in a container of the test stage.

pub(crate) mod coverage;
mod exit;
pub(crate) mod junit;
mod reports;
mod xml;

use std::collections::VecDeque;
use std::time::Instant;

use actions_toolkit::{PolicyFailure, with_timeout};
use anyhow::{Context as _, anyhow, bail};
use docker::{Container, ContainerSpec, ImageInfo, Throttling};
use futures_util::StreamExt as _;
use limits::Shown;

use crate::job::Job;
use crate::outcome::{LogTail, TestOutcome, TestRun};
use crate::request::cpus::Cpus;
use crate::request::{TestImage, Tests, application, memory};
use crate::services::{self, Outside, Purpose};
use crate::smoke;
use crate::source_map::SourceMap;

use coverage::Coverage;
use exit::{Exit, OutOfMemory, no_report, slowed, verdict};
use junit::Junit;
use reports::{COVERAGE, PYTEST, ReportFile, Written};

/// Lines of the log that are kept for the report.
const TAIL: usize = 100;

/// Run the command of the test image, next to `application` if the tests reach it, fetch its reports, and add the results to
/// `outcome`.
///
/// # Errors
/// A [`PolicyFailure`] when tests fail or the coverage is too low; another error when there is no verdict.
pub(crate) async fn run(
    job: &Job<'_>,
    tests: &Tests,
    (image, application): (&ImageInfo, Option<&ImageInfo>),
    outcome: &mut TestOutcome,
) -> anyhow::Result<()> {
    let purpose = Purpose {
        name: "tests",
        outside: tests.outside,
        application: tests.service.as_ref(),
        needs_network: application.is_some(),
    };
    let started = services::start(job, purpose).await?;
    let (Some(application), Some(host)) = (application, &tests.application) else {
        note_absence(job, tests);
        return in_container(job, tests, (image, &started), outcome).await;
    };
    let application = smoke::beside(job, application, &started, host).await?;
    let verdict = in_container(job, tests, (image, &started), outcome).await;
    if verdict.is_err() {
        smoke::show_log(job, &application).await;
    }
    verdict
}

// The same next to what is `started`.
async fn in_container(
    job: &Job<'_>,
    tests: &Tests,
    (image, started): (&ImageInfo, &services::Started),
    outcome: &mut TestOutcome,
) -> anyhow::Result<()> {
    let spec = spec(job, tests, image, started)?;
    let start = Instant::now();
    let (mut tail, mut throttling) = (VecDeque::new(), Throttling::default());
    let (container, exit) = {
        let title = format!("Run the tests of {}", tests.target);
        let _group = job.log.group(job.title(title));
        let container = job.docker.start(&spec).await?;
        let exit = follow(job, &container, tests, (&mut tail, &mut throttling)).await;
        (container, exit)
    };
    let limit = tests.cpus.filter(|_| !matches!(exit, Ok(0)));
    if let Some(note) = limit.and_then(|cpus| slowed(cpus, throttling)) {
        job.log.warning(note);
    }
    let time = start.elapsed();
    outcome.build.log_tail = Some(LogTail {
        title: "Last lines of the test run".to_owned(),
        lines: tail.into(),
    });
    let code = exit?;

    let is_out_of_memory = code != 0 && container.is_out_of_memory().await;
    let exit = Exit {
        code,
        out_of_memory: is_out_of_memory.then_some(OutOfMemory(tests.memory)),
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

// The container of the tests.
fn spec(
    job: &Job<'_>,
    tests: &Tests,
    image: &ImageInfo,
    started: &services::Started,
) -> anyhow::Result<ContainerSpec> {
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
        memory: tests.memory.map(memory::bytes),
        cpus: tests.cpus.map(Cpus::nanoseconds),
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    match &tests.service {
        // A stage has its own user and directories.
        Some(service) if tests.target == TestImage::Image => {
            let spec = ContainerSpec {
                user: service.user.clone(),
                working_dir: service.working_dir.clone(),
                tmpfs: service.tmpfs.clone(),
                ..spec
            };
            started.with_mounts(spec, service)
        }
        _ => Ok(spec),
    }
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

/// The reports of a run.
struct Reports {
    /// All of them, as one document.
    junit_text: Vec<u8>,
    junit: Result<Junit, String>,
    /// With its path, if there is one; the inner error if it is invalid, the outer one if it cannot be read.
    coverage: anyhow::Result<Option<(String, Result<Coverage, String>)>>,
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
    let has_workspace = matches!(tests.target, TestImage::Given(_));
    let written = Written::new(container, &image.config.working_dir, has_workspace);
    let files = written.junit(&tests.junit_paths, job.log).await;
    let files = files.context("failed to read the JUnit report")?;
    if files.is_empty() {
        bail!(no_report(tests, exit));
    }
    let coverage = written
        .coverage(tests.coverage_path.as_deref(), job.log)
        .await;
    if let Err(e) = &coverage
        && tests.min_coverage.is_none()
    {
        job.log
            .warning(format!("failed to read the coverage report: {e:#}"));
    }
    let source_map = SourceMap::new(job.request, image);
    let is_copied = tests.coverage_file.is_some();
    let copied = coverage.as_ref().ok().filter(|_| is_copied);
    let copied = copied.and_then(Option::as_ref);
    let coverage_text = copied.map(|file| file.content.clone());
    let parse = move || Reports {
        coverage_text,
        junit: parse(&files, exit.code),
        junit_text: reports::as_one(files),
        coverage: coverage.map(|file| {
            let file = file?;
            let coverage = Coverage::parse(&file.content, &source_map);
            Some((file.path, coverage))
        }),
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    parsed.context("failed to parse the test reports")
}

fn parse(files: &[ReportFile], code: i64) -> Result<Junit, String> {
    let mut all: Option<Junit> = None;
    for file in files {
        // What a test prints may be anything.
        let text = String::from_utf8_lossy(&file.content);
        let junit = Junit::of_run(&text, code);
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
    report: anyhow::Result<Option<(String, Result<Coverage, String>)>>,
) -> anyhow::Result<Option<Coverage>> {
    let path = tests.coverage_path.as_deref().unwrap_or(COVERAGE);
    match report {
        Ok(Some((_, Ok(coverage)))) => Ok(Some(coverage)),
        Ok(Some((path, Err(problem)))) => Err(anyhow!(
            "the coverage report `{path}` is invalid: {problem}"
        )),
        Ok(None) | Err(_) if tests.min_coverage.is_none() => Ok(None),
        Ok(None) => Err(anyhow!(
            "the tests left no coverage report at `{path}`; let their command write one there (pytest: `--cov-report=xml:{path}`), set `coverage-path`, or remove `min-coverage`"
        )),
        Err(e) => Err(e.context("failed to read the coverage report")),
    }
}

// Tests of another image may be meant for the application.
fn note_absence(job: &Job<'_>, tests: &Tests) {
    let is_given = matches!(tests.target, TestImage::Given(_));
    if !is_given || application::is_service(tests, &job.request.services) {
        return;
    }
    let host = application::name(tests);
    match (&job.request.smoke, application::is_named(tests)) {
        (Some(_), false) => job.log.info(format!(
            "the application does not run next to the tests: neither `test-command` nor `test-env` names its host, such as `http://{host}:8000`"
        )),
        (None, true) => job.log.notice(format!(
            "the application does not run next to the tests, which name its host `{host}`: with `health-path: none`, nothing says when it is healthy"
        )),
        _ => {}
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
    (tail, throttling): (&mut VecDeque<String>, &mut Throttling),
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
    let work = async {
        match tests.cpus {
            Some(_) => observe(container, throttling, work).await,
            None => work.await,
        }
    };
    let limit = ("test-timeout", tests.timeout);
    let exit = with_timeout(job.ctx.log(), "the test run", limit, work).await;
    if let Some(note) = shown.omitted() {
        output.raw(&note);
    }
    exit?
}

// `work`, and the newest counts of `container` meanwhile: it has none after its end.
async fn observe<T>(
    container: &Container,
    newest: &mut Throttling,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let mut samples = std::pin::pin!(container.throttling());
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(sample) = samples.next() => *newest = sample,
        }
    }
}
