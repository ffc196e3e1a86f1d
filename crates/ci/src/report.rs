//! What the run leaves for its reader: outputs, annotations, the job summary and the comment.

mod annotations;
mod details;

use std::fmt::Write as _;
use std::time::Duration;

use actions_toolkit::{Context, text};
use findings::Counts;

use crate::coverage::Coverage;
use crate::proof::{Evidence, Health, Proof};
use crate::request::Request;

/// Set the outputs, annotate, and write the summary. `verdict` is the error that ends the step, if there is one;
/// `others` are told beside it.
pub(crate) fn write(
    ctx: &Context,
    request: &Request,
    proof: &Proof,
    verdict: Option<&anyhow::Error>,
    others: &[String],
) {
    for (name, value) in outputs(request, proof) {
        ctx.output(name, value);
    }
    let taken = others.len() + usize::from(verdict.is_some());
    annotations::write(ctx, request, proof, taken);
    for evidence in evidence(proof) {
        let _group = ctx.log().group(&evidence.title);
        let lines = ctx.log().stop_commands();
        for line in &evidence.lines {
            lines.raw(line);
        }
    }
    for other in others {
        ctx.log().error(other);
    }
    ctx.summary(summary(request, proof, others));
}

fn outputs(request: &Request, proof: &Proof) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    if let Some(image) = &proof.image.image {
        if proof.image.named {
            outputs.push(("image", request.image.to_string()));
            outputs.push(("image-id", image.id.clone()));
            outputs.push(("created", image.created.clone()));
        }
        outputs.push(("size", image.size.to_string()));
    }
    if let Some(tests) = &proof.suite.tests {
        let counts = tests.junit.counts();
        outputs.push(("tests", counts.total.to_string()));
        outputs.push(("failures", counts.failed.to_string()));
        outputs.push(("skipped", counts.skipped.to_string()));
        outputs.push(("flaky", counts.flaky.to_string()));
        let new = tests.new_failures.as_ref();
        outputs.extend(new.map(|new| ("new-failures", new.len().to_string())));
    }
    let coverage = proof.suite.coverage.as_ref();
    outputs.extend(coverage.map(|coverage| ("coverage", coverage.percent())));
    if let Some(analysis) = &proof.analysis {
        let found: usize = analysis.linted.iter().map(|l| l.findings.len()).sum();
        outputs.push(("findings", found.to_string()));
    }
    if let Some(dependencies) = &proof.dependencies {
        let found = dependencies.findings.iter().collect::<Counts>().total();
        outputs.push(("vulnerabilities", found.to_string()));
    }
    let health = match (&request.smoke, &proof.image.health) {
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

/// The job summary.
pub(crate) fn summary(request: &Request, proof: &Proof, others: &[String]) -> String {
    let mut md = overview(request, proof);
    for other in others {
        let _ = write!(md, "\n- {}\n", text::markdown(other));
    }
    details::tests(&mut md, proof);
    details::linters(&mut md, proof);
    details::packages(&mut md, proof);
    for evidence in evidence(proof) {
        let _ = write!(md, "\n### {}\n\n", text::markdown(&evidence.title));
        md.push_str(&text::code_block(&evidence.lines.join("\n")));
    }
    details::coverage(&mut md, proof);
    details::slowest(&mut md, proof);
    details::licences(&mut md, proof);
    details::layers(&mut md, proof);
    details::builds(&mut md, proof);
    md
}

/// The comment on the pull request: the overview, and what failed.
pub(crate) fn comment(request: &Request, proof: &Proof, passed: bool, run: Option<&str>) -> String {
    let mut md = overview(request, proof);
    details::tests(&mut md, proof);
    details::linters(&mut md, proof);
    details::packages(&mut md, proof);
    let verdict = if passed { "passed" } else { "did not pass" };
    if let Some(run) = run {
        let _ = write!(md, "\nThe step {verdict}; [the whole report]({run}).\n");
    }
    md
}

fn overview(request: &Request, proof: &Proof) -> String {
    let mut md = format!("## ci: {}\n\n", text::code(&request.image.to_string()));
    md.push_str("| | Check | |\n|---|---|---|\n");
    row(&mut md, "Tests", test_line(request, proof));
    if let Some(line) = coverage_line(request, proof.suite.coverage.as_ref()) {
        row(&mut md, "Coverage", line);
    }
    if let Some(line) = analysis_line(request, proof) {
        row(&mut md, "Static analysis", line);
    }
    if let Some(line) = dependency_line(request, proof) {
        row(&mut md, "Dependencies", line);
    }
    row(&mut md, "Image", image_line(proof));
    row(&mut md, "Smoke test", health_line(request, proof));
    md
}

fn evidence(proof: &Proof) -> impl Iterator<Item = &Evidence> {
    let both = [&proof.suite.built, &proof.image.built];
    let evidence = both.into_iter().filter_map(|built| built.evidence.as_ref());
    let mut told: Vec<&Evidence> = evidence.filter(|e| !e.lines.is_empty()).collect();
    // Both builds may have failed at the same step.
    told.dedup();
    told.into_iter()
}

type Line = (&'static str, String);

fn row(md: &mut String, check: &str, (mark, text): Line) {
    let _ = writeln!(md, "| {mark} | {check} | {text} |");
}

fn coverage_line(request: &Request, coverage: Option<&Coverage>) -> Option<Line> {
    let limit = request.tests.as_ref().and_then(|tests| tests.min_coverage);
    let Some(coverage) = coverage else {
        return limit.map(|_| ("❔", "no result".to_owned()));
    };
    let (covered, total) = coverage.counts();
    let mut text = format!(
        "{} % ({covered} of {total} lines and branches)",
        coverage.percent()
    );
    let mut mark = "✅";
    if let Some(limit) = limit.filter(|limit| !coverage.reaches(*limit)) {
        let _ = write!(text, "; `min-coverage` is {limit}");
        mark = "❌";
    }
    Some((mark, text))
}

fn analysis_line(request: &Request, proof: &Proof) -> Option<Line> {
    let linting = request.linting.as_ref()?;
    let Some(analysis) = &proof.analysis else {
        return Some(("❔", "no result".to_owned()));
    };
    let parts = analysis.linted.iter().map(|linted| {
        let name = linted.linter.name;
        match linted.findings.len() {
            0 => format!("{name} ✓"),
            count => format!("{name} {count}"),
        }
    });
    let mut parts: Vec<_> = parts.collect();
    if !analysis.missing.is_empty() {
        parts.push(format!("not installed: {}", analysis.missing.join(", ")));
    }
    let findings = || analysis.linted.iter().flat_map(|linted| &linted.findings);
    let failing = linting
        .fail_on
        .is_some_and(|limit| findings().any(|finding| finding.severity >= limit));
    let mark = if failing {
        "❌"
    } else if findings().next().is_some() {
        "⚠️"
    } else if analysis.linted.is_empty() {
        "➖"
    } else {
        "✅"
    };
    Some((mark, parts.join(", ")))
}

fn dependency_line(request: &Request, proof: &Proof) -> Option<Line> {
    let wanted = request.dependencies.as_ref()?;
    let Some(found) = &proof.dependencies else {
        return Some(("❔", "no result".to_owned()));
    };
    let counts: Counts = found.findings.iter().collect();
    let failing = wanted.fail_on.is_some_and(|limit| {
        let mut open = found.findings.iter().filter(|finding| finding.is_open());
        open.any(|finding| finding.severity >= limit)
    });
    let mark = match (failing, counts.total()) {
        (true, _) => "❌",
        (false, 0) => "✅",
        (false, _) => "⚠️",
    };
    let packages = text::plural(found.packages.len(), "package");
    let file = text::code(&found.file);
    Some((mark, format!("{file}: {packages}, {counts}")))
}

fn test_line(request: &Request, proof: &Proof) -> Line {
    let Some(tests) = &proof.suite.tests else {
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
    if let Some(new) = tests.new_failures.as_ref().filter(|_| counts.failed > 0) {
        parts.push(format!("{} of the failures new", new.len()));
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
    match &proof.image.image {
        Some(image) => {
            let warnings = match proof.image.built.warnings.len() {
                0 => String::new(),
                count => format!(", {} not passed", text::plural(count, "build check")),
            };
            (
                "✅",
                format!("{}, {}{warnings}", text::code(&image.id), size(image.size)),
            )
        }
        None => ("❔", "not built".to_owned()),
    }
}

fn health_line(request: &Request, proof: &Proof) -> Line {
    let Some(health) = &proof.image.health else {
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
    if health.checked == Some(true) {
        parts.push("its HEALTHCHECK agrees".to_owned());
    }
    if let Some((code, after)) = health.stopped {
        parts.push(format!("stopped in {} (exit code {code})", time(after)));
    }
    if let Some(problem) = &health.problem {
        parts.push(text::markdown(problem));
    }
    let mark = if health.problem.is_some() {
        "❌"
    } else {
        "✅"
    };
    (mark, parts.join("; "))
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
