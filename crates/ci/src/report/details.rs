//! The parts of the summary below its table.

use std::fmt::Write as _;
use std::time::Duration;

use actions_toolkit::text;
use findings::Finding;

use super::{cut, size, time};
use crate::analysis::{Licence, level};
use crate::coverage::{percent, ranges};
use crate::junit::Test;
use crate::proof::Proof;

/// Failed tests that are told of in full, and rows of a table.
const DETAILS: usize = 20;
/// Slowest tests that are named.
const SLOWEST: usize = 5;
/// Bytes of a failed test's text, and of a name or message.
const TEXT: usize = 4000;
const MESSAGE: usize = 600;
/// Bytes of an instruction in the table of layers.
const INSTRUCTION: usize = 100;

/// Failed tests in full, flaky ones by name.
pub(super) fn tests(md: &mut String, proof: &Proof) {
    let Some(tests) = &proof.suite.tests else {
        return;
    };
    let failed: Vec<_> = tests.junit.failed().collect();
    if !failed.is_empty() {
        md.push_str("\n### Failed tests\n\n");
    }
    for (test, message, story) in failed.iter().take(DETAILS) {
        let place = tests.map.locate(test, story).map(|place| match place.line {
            Some(line) => format!(" ({}:{line})", place.file),
            None => format!(" ({})", place.file),
        });
        let news = tests.new_failures.as_ref();
        let new = news.is_some_and(|news| news.contains(&test.full_name()));
        let heading = format!(
            "{}{}{}",
            if new { "🆕 " } else { "" },
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
    more(md, failed.len(), "in the JUnit report");
    let flaky: Vec<_> = tests.junit.flaky().collect();
    if !flaky.is_empty() {
        md.push_str("\n### Flaky tests\n\n");
    }
    for test in flaky.iter().take(DETAILS) {
        let _ = writeln!(
            md,
            "- {} passed only after a rerun",
            text::code(&test.full_name())
        );
    }
    more(md, flaky.len(), "in the JUnit report");
}

/// The findings of the linters.
pub(super) fn linters(md: &mut String, proof: &Proof) {
    let linted = proof.analysis.iter().flat_map(|analysis| &analysis.linted);
    let all: Vec<_> = linted
        .flat_map(|linted| linted.findings.iter().map(|f| (linted.linter.name, f)))
        .collect();
    if all.is_empty() {
        return;
    }
    md.push_str("\n### Static analysis\n\n| Level | Rule | Where | |\n|---|---|---|---|\n");
    for (name, finding) in all.iter().take(DETAILS) {
        let _ = writeln!(
            md,
            "| {} | {name} {} | {} | {} |",
            level(finding.severity),
            rule(finding),
            place(finding),
            text::markdown(cut(&finding.message, MESSAGE))
        );
    }
    more(md, all.len(), "in the SARIF file");
}

/// The vulnerabilities of the lock file's packages.
pub(super) fn packages(md: &mut String, proof: &Proof) {
    let Some(dependencies) = &proof.dependencies else {
        return;
    };
    let open: Vec<_> = dependencies
        .findings
        .iter()
        .filter(|f| f.is_open())
        .collect();
    if open.is_empty() {
        return;
    }
    md.push_str(
        "\n### Vulnerable packages\n\n| Severity | Vulnerability | Package | Fixed in | Where |\n|---|---|---|---|---|\n",
    );
    for finding in open.iter().take(DETAILS) {
        let (name, fixed) = finding.package().map_or_else(Default::default, |package| {
            let name = format!("{} {}", package.name, package.installed);
            (name, package.fixed.clone())
        });
        let fixed = if fixed.is_empty() {
            "–".to_owned()
        } else {
            text::markdown(&fixed)
        };
        let _ = writeln!(
            md,
            "| {} | {} | {} | {fixed} | {} |",
            finding.severity,
            rule(finding),
            text::markdown(&name),
            place(finding)
        );
    }
    more(md, open.len(), "in the SARIF file");
}

/// The files with the largest gaps in their coverage.
pub(super) fn coverage(md: &mut String, proof: &Proof) {
    let files = proof.suite.coverage.iter().flat_map(|c| &c.files);
    let gaps: Vec<_> = files.filter(|file| file.covered < file.total).collect();
    if gaps.is_empty() {
        return;
    }
    md.push_str(
        "\n<details><summary>What the tests do not run</summary>\n\n| File | Coverage | Lines |\n|---|--:|---|\n",
    );
    for file in gaps.iter().take(DETAILS) {
        let _ = writeln!(
            md,
            "| {} | {} % | {} |",
            text::code(&file.path),
            percent(file.covered, file.total),
            cut(&ranges(&file.missing), INSTRUCTION)
        );
    }
    md.push_str("\n</details>\n");
    more(md, gaps.len(), "in the coverage report");
}

/// The slowest tests.
pub(super) fn slowest(md: &mut String, proof: &Proof) {
    let tests = proof.suite.tests.iter();
    let slowest: Vec<_> = tests
        .flat_map(|tests| tests.junit.slowest(SLOWEST))
        .collect();
    if slowest.is_empty() {
        return;
    }
    md.push_str("\n<details><summary>Slowest tests</summary>\n\n| Test | Time |\n|---|--:|\n");
    for test in slowest {
        let name = text::code(cut(&test.full_name(), MESSAGE));
        let _ = writeln!(md, "| {name} | {:.2} s |", test.seconds);
    }
    md.push_str("\n</details>\n");
}

/// The licences: of the lock file's packages, or of all that are installed if none is scanned.
pub(super) fn licences(md: &mut String, proof: &Proof) {
    let locked = proof.dependencies.as_ref().map(|found| &found.packages);
    let ours = |licence: &&Licence| {
        locked.is_none_or(|locked| locked.contains(&licence.0.to_lowercase().replace('_', "-")))
    };
    let all = proof.analysis.iter().flat_map(|found| &found.licences);
    let all: Vec<_> = all.filter(ours).collect();
    if all.is_empty() {
        return;
    }
    let whose = if locked.is_some() {
        "locked"
    } else {
        "installed"
    };
    let _ = write!(
        md,
        "\n<details><summary>Licences of {} {whose} packages</summary>\n\n| Package | Version | Licence |\n|---|---|---|\n",
        all.len()
    );
    for Licence(name, version, licence) in all {
        let licence = if licence.is_empty() {
            "not stated"
        } else {
            licence
        };
        let _ = writeln!(
            md,
            "| {} | {} | {} |",
            text::markdown(name),
            text::markdown(version),
            text::markdown(cut(licence, INSTRUCTION))
        );
    }
    md.push_str("\n</details>\n");
}

/// The layers that add something.
pub(super) fn layers(md: &mut String, proof: &Proof) {
    let layers = proof.image.layers.iter().filter(|layer| layer.size > 0);
    let layers: Vec<_> = layers.collect();
    if layers.is_empty() {
        return;
    }
    md.push_str("\n<details><summary>Layers</summary>\n\n| Instruction | Size |\n|---|--:|\n");
    for layer in layers {
        let instruction = match cut(&layer.instruction, INSTRUCTION) {
            "" => "(the base image)",
            instruction => instruction,
        };
        let _ = writeln!(md, "| {} | {} |", text::code(instruction), size(layer.size));
    }
    md.push_str("\n</details>\n");
}

/// The stages of the builds.
pub(super) fn builds(md: &mut String, proof: &Proof) {
    let both = [&proof.suite.built, &proof.image.built];
    let builds: Vec<_> = both
        .into_iter()
        .filter_map(|built| built.build.as_ref())
        .collect();
    // They go on side by side.
    let longest: Option<Duration> = builds.iter().map(|build| build.time).max();
    let Some(longest) = longest else {
        return;
    };
    let _ = write!(
        md,
        "\n<details><summary>Build: {}</summary>\n\n",
        time(longest)
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

fn more(md: &mut String, count: usize, place: &str) {
    if count > DETAILS {
        let _ = write!(md, "\n{} more are {place}.\n", count - DETAILS);
    }
}

fn rule(finding: &Finding) -> String {
    let id = text::markdown(&finding.rule.id);
    match finding.rule.url.as_str() {
        url if url.starts_with("https://") && !url.contains([')', ' ']) => format!("[{id}]({url})"),
        _ => id,
    }
}

fn place(finding: &Finding) -> String {
    text::code(&format!(
        "{}:{}",
        finding.location.path, finding.location.line
    ))
}

fn test_name(test: &Test) -> String {
    text::html(&cut(&test.full_name(), MESSAGE).replace(['\n', '\r'], " "))
}
