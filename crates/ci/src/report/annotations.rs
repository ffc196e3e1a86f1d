//! Annotations: failed tests first, then the findings of the linters, build checks and vulnerabilities.

use actions_toolkit::{Context, Level, Location};
use docker::BuildWarning;
use findings::Finding;
use trivy::Severity;

use super::cut;
use crate::analysis::Linted;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::test_run::junit::{Status, Test};

/// Annotations of one level that the runner shows for a step (`Runner.Worker/ExecutionContext.cs`).
const SHOWN: usize = 10;
/// Bytes of a message.
const MESSAGE: usize = 600;

pub(super) type Annotation = (Level, Option<Location>, String);

/// What an annotation is made of. Of thousands, only the ones that are shown are made.
enum Source<'a> {
    Failed(&'a Test, &'a str, &'a str),
    Flaky(&'a Test),
    Linter(&'static str, &'a Finding),
    BuildCheck(&'a BuildWarning),
    Vulnerability(&'a Finding),
}

/// Annotate; `errors` of the annotations shown are reserved for the errors of the step itself.
pub(super) fn write(ctx: &Context, request: &Request, outcome: &Outcome, errors: usize) {
    let all = sources(outcome);
    let mut omitted = not_kept(outcome);
    for (level, limit) in [
        (Level::Error, SHOWN.saturating_sub(errors)),
        (Level::Warning, SHOWN),
        (Level::Notice, SHOWN),
    ] {
        let of_level = || all.iter().filter(|source| source.level() == level);
        for source in of_level().take(limit) {
            let (level, location, message) = source.annotation(request, outcome);
            ctx.log().annotate(level, location.as_ref(), message);
        }
        omitted += of_level().count().saturating_sub(limit);
    }
    if omitted > 0 {
        ctx.log().info(format!(
            "{omitted} more are not annotated; see the job summary, the JUnit report and the SARIF file"
        ));
    }
}

#[cfg(test)]
pub(super) fn all(request: &Request, outcome: &Outcome) -> Vec<Annotation> {
    let all = sources(outcome);
    let all = all.iter();
    all.map(|source| source.annotation(request, outcome))
        .collect()
}

fn sources(outcome: &Outcome) -> Vec<Source<'_>> {
    let mut all = Vec::new();
    if let Some(run) = &outcome.tests.run {
        let failed = run.junit.failed();
        all.extend(failed.map(|(test, message, text)| Source::Failed(test, message, text)));
        all.extend(run.junit.flaky().map(Source::Flaky));
    }
    for linted in linted(outcome) {
        let findings = linted.findings.iter();
        all.extend(findings.map(|finding| Source::Linter(linted.linter.name, finding)));
    }
    all.extend(outcome.image.build.warnings.iter().map(Source::BuildCheck));
    if let Some(dependencies) = &outcome.dependencies {
        let open = dependencies.findings.iter().filter(|f| f.is_open());
        all.extend(open.map(Source::Vulnerability));
    }
    all
}

fn linted(outcome: &Outcome) -> impl Iterator<Item = &Linted> {
    let analysis = outcome.analysis.iter();
    analysis.flat_map(|analysis| &analysis.linted)
}

// Failed and flaky tests, and findings, that were counted and not kept.
fn not_kept(outcome: &Outcome) -> usize {
    let tests = outcome.tests.run.as_ref().map_or(0, |run| {
        let counts = run.junit.counts();
        counts.failed + counts.flaky - run.junit.failed().count() - run.junit.flaky().count()
    });
    let findings: usize = linted(outcome).map(|linted| linted.not_kept.len()).sum();
    tests + findings
}

impl Source<'_> {
    fn level(&self) -> Level {
        match self {
            Self::Failed(..) => Level::Error,
            Self::Linter(_, finding) => match finding.severity {
                Severity::Critical | Severity::High => Level::Error,
                Severity::Medium => Level::Warning,
                Severity::Low | Severity::Unknown => Level::Notice,
            },
            Self::Flaky(_) | Self::BuildCheck(_) | Self::Vulnerability(_) => Level::Warning,
        }
    }

    fn annotation(&self, request: &Request, outcome: &Outcome) -> Annotation {
        let run = outcome.tests.run.as_ref();
        let locate = |test, text| run.and_then(|run| run.source_map.locate(test, text));
        let name_of = |test: &Test| cut(&test.full_name(), MESSAGE).to_owned();
        let (location, message) = match self {
            Self::Failed(test, message, traceback) => {
                let name = test.full_name();
                let new_failures = run.and_then(|run| run.new_failures.as_ref());
                let is_new = new_failures.is_some_and(|new| new.contains(&name));
                let new = if is_new { " (new)" } else { "" };
                let name = cut(&name, MESSAGE);
                let message = format!("{name}{new}: {}", cut(message, MESSAGE));
                (locate(test, traceback), message)
            }
            Self::Flaky(test) => {
                let (first, trace) = match &test.status {
                    Status::Flaky { message, text } if !message.is_empty() => (
                        format!("; at first: {}", cut(message, MESSAGE)),
                        text.as_str(),
                    ),
                    _ => (String::new(), ""),
                };
                let message = format!("{} passed only after a rerun{first}", name_of(test));
                (locate(test, trace), message)
            }
            Self::Linter(tool, finding) => of_finding(tool, finding),
            Self::BuildCheck(warning) => {
                let location = Location {
                    file: request.build.dockerfile.in_workspace.clone(),
                    line: warning.line,
                    end_line: None,
                };
                let (message, url) = (cut(&warning.message, MESSAGE), cut(&warning.url, MESSAGE));
                let message = format!("{message} {url}");
                (Some(location), message.trim().to_owned())
            }
            Self::Vulnerability(finding) => of_finding("Trivy", finding),
        };
        (self.level(), location, message)
    }
}

fn of_finding(tool: &str, finding: &Finding) -> (Option<Location>, String) {
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
    (Some(location), message)
}
