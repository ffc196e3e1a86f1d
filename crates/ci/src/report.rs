//! What the run leaves for its reader: outputs, annotations and the job summary.

use std::fmt::Write as _;
use std::time::Duration;

use actions_toolkit::{Context, Level, Location, text};

use crate::build::Build;
use crate::junit::{Junit, Test};
use crate::place::Map;
use crate::proof::{Evidence, Health, Proof, TestRun};
use crate::request::Request;

/// The runner shows ten errors of a step (`Runner.Worker/ExecutionContext.cs`); the last one is the
/// step's own.
const ANNOTATIONS: usize = 9;
/// Failed tests that the summary tells of in full.
const DETAILS: usize = 20;
/// Bytes of a failed test's text in the summary, and of its message in an annotation.
const TEXT: usize = 4000;
const MESSAGE: usize = 600;

/// Set the outputs, annotate the failed tests and write the summary.
pub(crate) fn write(ctx: &Context, request: &Request, proof: &Proof) {
    for (name, value) in outputs(request, proof) {
        ctx.output(name, value);
    }
    if let Some(tests) = &proof.tests {
        annotate(ctx, tests);
    }
    if let Some(evidence) = evidence(proof) {
        let _group = ctx.log().group(&evidence.title);
        let lines = ctx.log().stop_commands();
        for line in &evidence.lines {
            lines.raw(line);
        }
    }
    ctx.summary(summary(request, proof));
}

fn outputs(request: &Request, proof: &Proof) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    if let Some(image) = &proof.image {
        outputs.push(("image", request.image.to_string()));
        outputs.push(("image-id", image.id.clone()));
        outputs.push(("size", image.size.to_string()));
    }
    if let Some(tests) = &proof.tests {
        let counts = tests.junit.counts();
        outputs.push(("tests", counts.total.to_string()));
        outputs.push(("tests-failed", counts.failed.to_string()));
        outputs.push(("tests-skipped", counts.skipped.to_string()));
    }
    let health = match (&request.smoke, &proof.health) {
        (None, _) => Some("skipped"),
        (Some(_), None) => None,
        (Some(_), Some(Health { problem: None, .. })) => Some("healthy"),
        (Some(_), Some(_)) => Some("unhealthy"),
    };
    outputs.extend(health.map(|health| ("health-status", health.to_owned())));
    outputs
}

/// What a good run has shown, for the end of the log.
pub(crate) fn last_line(request: &Request) -> String {
    let tested = request.tests.as_ref().map(|_| ", tested");
    let serves = request.smoke.as_ref().map(|_| ", serves and stops");
    let [tested, serves] = [tested, serves].map(Option::unwrap_or_default);
    format!("`{}` is built{tested}{serves}", request.image)
}

fn annotate(ctx: &Context, tests: &TestRun) {
    let (shown, more) = annotations(&tests.junit, &tests.map);
    for (place, message) in shown {
        ctx.log().annotate(Level::Error, place.as_ref(), message);
    }
    if more > 0 {
        ctx.log().info(format!(
            "{more} more failed: see the job summary and the JUnit report"
        ));
    }
}

fn annotations(junit: &Junit, map: &Map) -> (Vec<(Option<Location>, String)>, usize) {
    let shown = junit
        .failed()
        .take(ANNOTATIONS)
        .map(|(test, message, text)| {
            (
                map.locate(test, text),
                format!("{}: {}", test.full_name(), cut(message, MESSAGE)),
            )
        })
        .collect::<Vec<_>>();
    let more = junit.counts().failed - shown.len();
    (shown, more)
}

/// The job summary.
pub(crate) fn summary(request: &Request, proof: &Proof) -> String {
    let mut md = format!("## ci: {}\n\n", text::code(&request.image.to_string()));
    md.push_str("| | Check | |\n|---|---|---|\n");
    row(&mut md, "Tests", test_line(request, proof));
    row(&mut md, "Image", image_line(proof));
    row(&mut md, "Smoke test", health_line(request, proof));
    if let Some(tests) = &proof.tests {
        failed_tests(&mut md, tests);
    }
    if let Some(evidence) = evidence(proof) {
        let _ = write!(md, "\n### {}\n\n", text::markdown(&evidence.title));
        md.push_str(&text::code_block(&evidence.lines.join("\n")));
    }
    if !proof.builds.is_empty() {
        builds(&mut md, &proof.builds);
    }
    md
}

fn evidence(proof: &Proof) -> Option<&Evidence> {
    proof
        .evidence
        .as_ref()
        .filter(|evidence| !evidence.lines.is_empty())
}

type Line = (&'static str, String);

fn row(md: &mut String, check: &str, (mark, text): Line) {
    let _ = writeln!(md, "| {mark} | {check} | {text} |");
}

fn test_line(request: &Request, proof: &Proof) -> Line {
    let Some(tests) = &proof.tests else {
        return match request.tests {
            Some(_) => ("❔", "no result".to_owned()),
            None => ("➖", "left out (`test-target: none`)".to_owned()),
        };
    };
    let counts = tests.junit.counts();
    let mut parts = vec![format!("{} passed", counts.passed)];
    for (count, how) in [(counts.failed, "failed"), (counts.skipped, "skipped")] {
        if count > 0 {
            parts.push(format!("{count} {how}"));
        }
    }
    if counts.flaky > 0 {
        parts.push(format!("{} only after a rerun", counts.flaky));
    }
    let mark = if counts.failed > 0 || counts.passed == 0 {
        "❌"
    } else {
        "✅"
    };
    (
        mark,
        format!("{} in {}", parts.join(", "), time(tests.time)),
    )
}

fn image_line(proof: &Proof) -> Line {
    match &proof.image {
        Some(image) => (
            "✅",
            format!("{}, {}", text::code(&image.id), size(image.size)),
        ),
        None => ("❔", "not built".to_owned()),
    }
}

fn health_line(request: &Request, proof: &Proof) -> Line {
    let Some(health) = &proof.health else {
        return match request.smoke {
            Some(_) => ("❔", "not run".to_owned()),
            None => ("➖", "left out (`health-path: none`)".to_owned()),
        };
    };
    let mut parts = Vec::new();
    if let Some(after) = health.healthy_after {
        parts.push(format!(
            "{} healthy after {}",
            text::code(&health.request),
            time(after)
        ));
    }
    if let Some((code, after)) = health.stopped {
        parts.push(format!("stopped in {} (exit code {code})", time(after)));
    }
    if let Some(problem) = &health.problem {
        parts.push(text::markdown(problem));
    }
    (
        if health.problem.is_some() {
            "❌"
        } else {
            "✅"
        },
        parts.join("; "),
    )
}

fn failed_tests(md: &mut String, tests: &TestRun) {
    let failed: Vec<_> = tests.junit.failed().collect();
    if failed.is_empty() {
        return;
    }
    md.push_str("\n### Failed tests\n\n");
    for (test, message, story) in failed.iter().take(DETAILS) {
        let place = tests.map.locate(test, story).map(|place| match place.line {
            Some(line) => format!(" ({}:{line})", place.file),
            None => format!(" ({})", place.file),
        });
        let heading = format!(
            "{}{}",
            test_name(test),
            text::html(&place.unwrap_or_default())
        );
        let body = if story.is_empty() { message } else { story };
        let body = text::code_block(cut(body, TEXT));
        let _ = write!(
            md,
            "<details><summary>{heading}</summary>\n\n{body}\n</details>\n"
        );
    }
    if failed.len() > DETAILS {
        let _ = write!(
            md,
            "\n{} more are in the JUnit report.\n",
            failed.len() - DETAILS
        );
    }
}

fn test_name(test: &Test) -> String {
    text::html(&cut(&test.full_name(), MESSAGE).replace(['\n', '\r'], " "))
}

fn builds(md: &mut String, builds: &[Build]) {
    let total: Duration = builds.iter().map(|build| build.time).sum();
    let _ = write!(
        md,
        "\n<details><summary>Build: {}</summary>\n\n",
        time(total)
    );
    md.push_str("| Build | Stage | Steps | From cache | Time |\n|---|---|--:|--:|--:|\n");
    for build in builds {
        for stage in &build.stages {
            let _ = writeln!(
                md,
                "| {} | {} | {} | {} | {:.1} s |",
                text::markdown(&build.title.replace('`', "")),
                text::markdown(&stage.name),
                stage.steps,
                stage.cached,
                stage.seconds
            );
        }
    }
    md.push_str("\n</details>\n");
}

fn cut(text: &str, max: usize) -> &str {
    text::cut(text, max.min(text.len()))
}

fn time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

// Decimal units, as `docker images` shows them.
fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

#[cfg(test)]
mod tests;
