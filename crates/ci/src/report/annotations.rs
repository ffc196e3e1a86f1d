//! Annotations: failed tests first, then the linters' findings, build checks and vulnerabilities.

use actions_toolkit::{Context, Level, Location};
use findings::Finding;
use trivy::Severity;

use super::cut;
use crate::junit::Junit;
use crate::place::Map;
use crate::proof::{Proof, TestRun};
use crate::request::Request;

/// The runner shows ten annotations of a level of a step (`Runner.Worker/ExecutionContext.cs`).
const SHOWN: usize = 10;
/// Bytes of a message.
const MESSAGE: usize = 600;

/// An annotation.
pub(super) type Annotation = (Level, Option<Location>, String);

/// Annotate; `taken` errors are the step's own last words.
pub(super) fn write(ctx: &Context, request: &Request, proof: &Proof, taken: usize) {
    let all = all(request, proof);
    let mut left_out = 0;
    for (level, limit) in [
        (Level::Error, SHOWN.saturating_sub(taken)),
        (Level::Warning, SHOWN),
    ] {
        let of_level = || all.iter().filter(|(l, ..)| *l == level);
        for (level, place, message) in of_level().take(limit) {
            ctx.log().annotate(*level, place.as_ref(), message);
        }
        left_out += of_level().count().saturating_sub(limit);
    }
    if left_out > 0 {
        ctx.log().info(format!(
            "{left_out} more are not annotated: see the job summary, the JUnit report and the SARIF file"
        ));
    }
}

pub(super) fn all(request: &Request, proof: &Proof) -> Vec<Annotation> {
    let mut all = Vec::new();
    if let Some(tests) = &proof.suite.tests {
        all.extend(failed(&tests.junit, &tests.map, tests));
        all.extend(flaky(tests));
    }
    let linted = proof.analysis.iter().flat_map(|analysis| &analysis.linted);
    for linted in linted {
        let name = linted.linter.name;
        all.extend(linted.findings.iter().map(|finding| found(name, finding)));
    }
    let dockerfile = request
        .context
        .join(&request.dockerfile)
        .strip_prefix(&request.workspace)
        .map(|path| path.components().collect::<std::path::PathBuf>());
    for warning in &proof.image.built.warnings {
        let place = dockerfile.as_ref().ok().map(|path| Location {
            file: path.to_string_lossy().into_owned(),
            line: warning.line,
            end_line: None,
        });
        let message = format!("{} {}", warning.message, warning.url);
        all.push((Level::Warning, place, message.trim().to_owned()));
    }
    if let Some(dependencies) = &proof.dependencies {
        let open = dependencies.findings.iter().filter(|f| f.is_open());
        all.extend(open.map(|finding| {
            let (_, place, message) = found("Trivy", finding);
            (Level::Warning, place, message)
        }));
    }
    all
}

fn failed(junit: &Junit, map: &Map, tests: &TestRun) -> Vec<Annotation> {
    let new = |name: &String| {
        let news = tests.new_failures.as_ref();
        news.is_some_and(|news| news.contains(name))
    };
    let annotation = |(test, message, text): (&crate::junit::Test, &str, &str)| {
        let name = test.full_name();
        let new = if new(&name) { " (new)" } else { "" };
        let message = format!("{name}{new}: {}", cut(message, MESSAGE));
        (Level::Error, map.locate(test, text), message)
    };
    junit.failed().map(annotation).collect()
}

fn flaky(tests: &TestRun) -> impl Iterator<Item = Annotation> {
    tests.junit.flaky().map(|test| {
        let message = format!("{} passed only after a rerun", test.full_name());
        (Level::Warning, tests.map.locate(test, ""), message)
    })
}

fn found(tool: &str, finding: &Finding) -> Annotation {
    let level = match finding.severity {
        Severity::Critical | Severity::High => Level::Error,
        _ => Level::Warning,
    };
    let place = Location {
        file: finding.location.path.clone(),
        line: Some(finding.location.line),
        end_line: Some(finding.location.end_line),
    };
    let message = format!(
        "{tool} {}: {}",
        finding.rule.id,
        cut(&finding.message, MESSAGE)
    );
    (level, Some(place), message)
}
