//! The overview at the top of the summary and the comment: one row for each check.

use std::fmt::Write as _;

use actions_toolkit::text::{self, Table};
use findings::Counts;

use super::{size, time};
use crate::analysis::Linted;
use crate::builder::Platform;
use crate::outcome::{Health, Outcome, TestRun};
use crate::request::{Push, Request};
use crate::test_run::coverage::percent;

/// A heading, and a row for each check.
pub(super) fn overview(request: &Request, outcome: &Outcome) -> String {
    let mut table = Table::new(["", "Check", ""]);
    let mut row = |check: &str, (mark, text): Line| {
        table.row([mark.to_owned(), check.to_owned(), text]);
    };
    let title = |what: &str, platform: Option<&Platform>| match platform {
        Some(platform) => format!("{what} ({platform})"),
        None => what.to_owned(),
    };
    let tests = &outcome.tests;
    row(
        &title("Tests", tests.platform.as_ref()),
        test_line(request, tests.run.as_ref()),
    );
    for (platform, run) in &tests.others {
        row(
            &title("Tests", Some(platform)),
            test_line(request, run.as_ref()),
        );
    }
    if let Some(line) = coverage_line(request, outcome) {
        row("Coverage", line);
    }
    if let Some(line) = changed_line(outcome) {
        row("Changed lines", line);
    }
    if let Some(line) = analysis_line(request, outcome) {
        row("Static analysis", line);
    }
    if let Some(line) = dependency_line(request, outcome) {
        row("Dependencies", line);
    }
    row("Image", image_line(outcome));
    let image = &outcome.image;
    row(
        &title("Smoke test", image.platform.as_ref()),
        health_line(request, image.health.as_ref()),
    );
    if request.smoke.is_some() {
        for (platform, health) in &image.others {
            row(
                &title("Smoke test", Some(platform)),
                health_line(request, health.as_ref()),
            );
        }
    }
    if let Some(line) = push_line(request, outcome) {
        row("Push", line);
    }
    let image = text::code(&request.build.image.to_string());
    format!("## ci: {image}\n\n{table}")
}

/// A mark and a text.
type Line = (&'static str, String);

fn coverage_line(request: &Request, outcome: &Outcome) -> Option<Line> {
    let min = request.tests.as_ref().and_then(|tests| tests.min_coverage);
    let Some(coverage) = &outcome.tests.coverage else {
        return min.map(|_| ("❔", "no result".to_owned()));
    };
    let (covered, total) = coverage.counts();
    let mut text = format!(
        "{} % ({covered} of {total} lines and branches)",
        coverage.percent()
    );
    let base = outcome.tests.base_coverage(request.tests.as_ref());
    if let Some(base) = base {
        let change = coverage.change(base);
        let _ = write!(
            text,
            "; {change} from the base branch ({} %)",
            base.percent()
        );
    }
    let mut mark = "✅";
    if coverage.claimed.is_some() {
        mark = "⚠️";
        text.push_str("; the report's own totals and its files differ");
    }
    if let Some(min) = min.filter(|min| !coverage.reaches(*min)) {
        let _ = write!(text, "; `min-coverage` is {min}");
        mark = "❌";
    }
    Some((mark, text))
}

fn changed_line(outcome: &Outcome) -> Option<Line> {
    let changed = outcome.tests.changed.as_ref()?;
    let (covered, total) = (changed.covered, changed.total);
    let mut text = match total {
        0 => "none that is measured".to_owned(),
        _ => format!(
            "{} % covered ({covered} of {total} that are measured)",
            percent(covered as u64, total as u64)
        ),
    };
    if changed.differing > 0 {
        let files = text::plural(changed.differing, "file");
        let _ = write!(text, "; {files} that the base branch changes too left out");
    }
    Some(("➖", text))
}

fn analysis_line(request: &Request, outcome: &Outcome) -> Option<Line> {
    let linting = request.linting.as_ref()?;
    let Some(analysis) = &outcome.analysis else {
        return Some(("❔", "no result".to_owned()));
    };
    let parts = analysis.linted.iter().map(|linted| {
        let name = linted.linter.name;
        match linted.severities().count() {
            0 => format!("{name} ✓"),
            count => format!("{name} {count}"),
        }
    });
    let mut parts: Vec<_> = parts.collect();
    if !analysis.missing.is_empty() {
        parts.push(format!("not installed: {}", analysis.missing.join(", ")));
    }
    for (name, _) in &analysis.unusable {
        parts.push(format!("{name} could not run"));
    }
    let severities = || analysis.linted.iter().flat_map(Linted::severities);
    let failing = linting
        .fail_on
        .is_some_and(|threshold| severities().any(|severity| severity >= threshold));
    let mark = if failing {
        "❌"
    } else if severities().next().is_some() || !analysis.unusable.is_empty() {
        "⚠️"
    } else if analysis.linted.is_empty() {
        "➖"
    } else {
        "✅"
    };
    Some((mark, parts.join(", ")))
}

fn dependency_line(request: &Request, outcome: &Outcome) -> Option<Line> {
    let lock_file = request.dependencies.as_ref()?;
    let Some(dependencies) = &outcome.dependencies else {
        return Some(("❔", "no result".to_owned()));
    };
    let counts: Counts = dependencies.findings.iter().collect();
    let failing = lock_file.fail_on.is_some_and(|threshold| {
        let mut open = dependencies
            .findings
            .iter()
            .filter(|finding| finding.is_open());
        open.any(|finding| finding.severity >= threshold)
    });
    let mark = match (failing, counts.total()) {
        (true, _) => "❌",
        (false, 0) => "✅",
        (false, _) => "⚠️",
    };
    let packages = text::plural(dependencies.packages.len(), "package");
    let file = text::code(&dependencies.file);
    Some((mark, format!("{file}: {packages}, {counts}")))
}

fn test_line(request: &Request, run: Option<&TestRun>) -> Line {
    let Some(run) = run else {
        return match request.tests {
            Some(_) => ("❔", "no result".to_owned()),
            None => ("➖", "skipped (`test-target: none`)".to_owned()),
        };
    };
    let counts = run.junit.counts();
    let mut parts = vec![format!("{} passed", counts.passed)];
    for (count, status) in [(counts.failed, "failed"), (counts.skipped, "skipped")] {
        if count > 0 {
            parts.push(format!("{count} {status}"));
        }
    }
    if let Some(new) = run.new_failures.as_ref().filter(|_| counts.failed > 0) {
        parts.push(text::plural(new.len(), "new failure"));
    }
    if counts.flaky > 0 {
        parts.push(format!("{} only after a rerun", counts.flaky));
    }
    let mark = if counts.failed > 0 || counts.passed == 0 {
        "❌"
    } else {
        "✅"
    };
    (mark, format!("{} in {}", parts.join(", "), time(run.time)))
}

fn image_line(outcome: &Outcome) -> Line {
    match &outcome.image.image {
        Some(image) => {
            let warnings = match outcome.image.build.warnings.len() {
                0 => String::new(),
                count => format!(", {} failed", text::plural(count, "build check")),
            };
            (
                "✅",
                format!("{}, {}{warnings}", text::code(&image.id), size(image.size)),
            )
        }
        None => ("❔", "not built".to_owned()),
    }
}

fn push_line(request: &Request, outcome: &Outcome) -> Option<Line> {
    let pushed = &outcome.image.pushed;
    let left_out = request.names.left_out.iter();
    let left_out: Vec<_> = left_out
        .map(|(line, reason)| format!("{} left out: {}", text::code(line), text::markdown(reason)))
        .collect();
    let (mark, main) = match &request.push {
        Push::No if left_out.is_empty() => return None,
        Push::No => ("➖", "not requested".to_owned()),
        Push::Skipped(reason) => (
            "➖",
            format!("nothing is pushed: {}", text::markdown(reason)),
        ),
        Push::Yes if pushed.is_empty() => ("❔", "not pushed".to_owned()),
        Push::Yes => {
            let images = pushed.iter().map(|one| text::code(&one.image.to_string()));
            let images: Vec<_> = images.collect();
            let names = request.names.names.iter();
            let tags: Vec<_> = names
                .filter_map(|name| Some(text::code(name.tag()?)))
                .collect();
            (
                "✅",
                format!("{} as {}", images.join(", "), tags.join(", ")),
            )
        }
    };
    let parts: Vec<_> = std::iter::once(main).chain(left_out).collect();
    Some((mark, parts.join("; ")))
}

fn health_line(request: &Request, health: Option<&Health>) -> Line {
    let Some(health) = health else {
        return match request.smoke {
            Some(_) => ("❔", "not run".to_owned()),
            None => ("➖", "skipped (`health-path: none`)".to_owned()),
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
        parts.push("HEALTHCHECK passed".to_owned());
    }
    if let Some((code, after)) = health.stopped {
        parts.push(format!("stopped in {} (exit code {code})", time(after)));
    }
    if let Some(problem) = &health.problem {
        parts.push(text::markdown(problem));
    }
    if !health.relaxed.is_empty() {
        let relaxed = text::markdown(&health.relaxed.join(", "));
        parts.push(format!("less strict than in production: {relaxed}"));
    }
    let mark = if health.problem.is_some() {
        "❌"
    } else {
        "✅"
    };
    (mark, parts.join("; "))
}
