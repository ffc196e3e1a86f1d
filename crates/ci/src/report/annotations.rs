//! Annotations: failed tests first, then the findings of the linters, build checks and vulnerabilities.

use actions_toolkit::{Context, Level, Location};
use findings::Finding;
use trivy::Severity;

use super::cut;
use crate::outcome::{Outcome, TestRun};
use crate::request::Request;
use crate::test_run::junit::Test;

/// Annotations of one level that the runner shows for a step (`Runner.Worker/ExecutionContext.cs`).
const SHOWN: usize = 10;
/// Bytes of a message.
const MESSAGE: usize = 600;

pub(super) type Annotation = (Level, Option<Location>, String);

/// Annotate; `errors` of the annotations shown are reserved for the errors of the step itself.
pub(super) fn write(ctx: &Context, request: &Request, outcome: &Outcome, errors: usize) {
    let all = all(request, outcome);
    let mut omitted = 0;
    for (level, limit) in [
        (Level::Error, SHOWN.saturating_sub(errors)),
        (Level::Warning, SHOWN),
    ] {
        let of_level = || all.iter().filter(|(l, ..)| *l == level);
        for (level, location, message) in of_level().take(limit) {
            ctx.log().annotate(*level, location.as_ref(), message);
        }
        omitted += of_level().count().saturating_sub(limit);
    }
    if omitted > 0 {
        ctx.log().info(format!(
            "{omitted} more are not annotated; see the job summary, the JUnit report and the SARIF file"
        ));
    }
}

pub(super) fn all(request: &Request, outcome: &Outcome) -> Vec<Annotation> {
    let mut all = Vec::new();
    if let Some(run) = &outcome.tests.run {
        all.extend(failed(run));
        all.extend(flaky(run));
    }
    let linted = outcome
        .analysis
        .iter()
        .flat_map(|analysis| &analysis.linted);
    for linted in linted {
        let name = linted.linter.name;
        all.extend(
            linted
                .findings
                .iter()
                .map(|finding| of_finding(name, finding)),
        );
    }
    let build = &request.build;
    let dockerfile = build.context.join(&build.dockerfile);
    let dockerfile = request.workspace.relative(&dockerfile);
    for warning in &outcome.image.build.warnings {
        let location = dockerfile.as_ref().map(|path| Location {
            file: path.clone(),
            line: warning.line,
            end_line: None,
        });
        let message = format!("{} {}", warning.message, warning.url);
        all.push((Level::Warning, location, message.trim().to_owned()));
    }
    if let Some(dependencies) = &outcome.dependencies {
        let open = dependencies.findings.iter().filter(|f| f.is_open());
        all.extend(open.map(|finding| {
            let (_, location, message) = of_finding("Trivy", finding);
            (Level::Warning, location, message)
        }));
    }
    all
}

fn failed(run: &TestRun) -> impl Iterator<Item = Annotation> {
    let is_new = |name: &String| {
        let new_failures = run.new_failures.as_ref();
        new_failures.is_some_and(|new| new.contains(name))
    };
    let annotation = move |(test, message, traceback): (&Test, &str, &str)| {
        let name = test.full_name();
        let new = if is_new(&name) { " (new)" } else { "" };
        let message = format!("{name}{new}: {}", cut(message, MESSAGE));
        (
            Level::Error,
            run.source_map.locate(test, traceback),
            message,
        )
    };
    run.junit.failed().map(annotation)
}

fn flaky(run: &TestRun) -> impl Iterator<Item = Annotation> {
    run.junit.flaky().map(|test| {
        let message = format!("{} passed only after a rerun", test.full_name());
        (Level::Warning, run.source_map.locate(test, ""), message)
    })
}

fn of_finding(tool: &str, finding: &Finding) -> Annotation {
    let level = match finding.severity {
        Severity::Critical | Severity::High => Level::Error,
        _ => Level::Warning,
    };
    let location = Location {
        file: finding.location.path.clone(),
        line: Some(finding.location.line),
        end_line: Some(finding.location.end_line),
    };
    let message = format!(
        "{tool} {}: {}",
        finding.rule.id,
        cut(&finding.message, MESSAGE)
    );
    (level, Some(location), message)
}
