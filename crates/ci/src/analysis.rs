//! Static analysis: linters from the test stage's own environment, or from the runner.
//!
//! A linter of the test stage sees what the tests see: the versions and plugins that the project locked, and its
//! packages' types.

mod linter;
mod place;

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use findings::Finding;
use futures_util::future::join_all;
use serde::Deserialize;
use trivy::Severity;

use crate::job::Job;
use crate::place::Map;
use crate::request::Linting;

use linter::{Dockerfile, Remark};
pub(crate) use linter::{LINTERS, Linter};
use place::Home;

/// What the linters said.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// The linters that ran, in the order of [`LINTERS`].
    pub(crate) linted: Vec<Linted>,
    /// Linters that were found nowhere.
    pub(crate) missing: Vec<&'static str>,
    /// The packages of the test stage with their licences.
    pub(crate) licences: Vec<Licence>,
}

/// What one linter said.
#[derive(Debug)]
pub(crate) struct Linted {
    /// The linter.
    pub(crate) linter: &'static Linter,
    /// Where it was found: `test stage` or `runner`.
    pub(crate) home: &'static str,
    /// What it found, the worst first.
    pub(crate) findings: Vec<Finding>,
}

/// A package and its licence, as its metadata has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Licence(pub(crate) String, pub(crate) String, pub(crate) String);

/// Run the linters that are asked for, in a container of the test stage `image`, and add to `analysis`.
///
/// # Errors
/// A [`PolicyFailure`] when there is something at or over the threshold; another error when one of them cannot be run.
pub(crate) async fn run(
    job: &Job<'_>,
    linting: &Linting,
    image: &ImageInfo,
    analysis: &mut Analysis,
) -> anyhow::Result<()> {
    let spec = ContainerSpec {
        image: image.id.clone(),
        entrypoint: vec!["sleep".to_owned()],
        cmd: vec![linting.timeout.as_secs().to_string()],
        network: Some("none".to_owned()),
        security_opt: vec!["no-new-privileges".to_owned()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    // A stage without `sleep` has no linters either.
    let container = job.docker.start(&spec).await.ok();
    let limit = ("test-timeout", linting.timeout);
    let work = everything(job, linting, image, container.as_ref(), analysis);
    // The container goes with the run's.
    with_timeout(job.ctx.log(), "the static analysis", limit, work).await??;
    for linted in &analysis.linted {
        let found = text::plural(linted.findings.len(), "finding");
        let name = linted.linter.name;
        job.log.info(format!("{name} ({}): {found}", linted.home));
    }
    linting.judge(&analysis.linted)
}

async fn everything(
    job: &Job<'_>,
    linting: &Linting,
    image: &ImageInfo,
    container: Option<&Container>,
    analysis: &mut Analysis,
) -> anyhow::Result<()> {
    let map = Map::of(job.request, image);
    let home = Home::new(job, container, &image.config);
    let text = std::fs::read(job.request.context.join(&job.request.dockerfile))
        .context("while reading the Dockerfile")?;
    home.keep(&text).await;
    let runs = linting.linters.iter().map(|linter| run_one(&home, linter));
    let (runs, licences) = tokio::join!(join_all(runs), home.licences());
    analysis.licences = licences;
    for (linter, run) in linting.linters.iter().zip(runs) {
        let found = run.with_context(|| format!("while running {} over the code", linter.name))?;
        let Some((place, remarks)) = found else {
            analysis.missing.push(linter.name);
            continue;
        };
        let findings = linter::findings(job.request, &map, remarks);
        analysis.linted.push(Linted {
            linter,
            home: place,
            findings,
        });
    }
    if linting.required && !analysis.missing.is_empty() {
        bail!(
            "{} neither in the test stage nor on the runner: install it in the stage `{}`, or take it out of `static-analysis`",
            are(&analysis.missing),
            job.request
                .tests
                .as_ref()
                .map_or("test", |tests| &tests.target),
        );
    }
    Ok(())
}

fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

async fn run_one(
    home: &Home<'_>,
    linter: &'static Linter,
) -> anyhow::Result<Option<(&'static str, Vec<Remark>)>> {
    let Some(ended) = home.run(linter).await? else {
        return Ok(None);
    };
    if !linter.verdicts.contains(&ended.code) {
        let last: Vec<_> = ended.words.lines().rev().take(3).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        bail!("it ended with exit code {}: {last}", ended.code);
    }
    let remarks = (linter.read)(&ended.stdout)
        .map_err(|e| anyhow::anyhow!("its answer cannot be read: {e}"))?;
    if ended.code != 0 && remarks.is_empty() && linter.name != "pip check" {
        bail!("it ended with exit code {} and named nothing", ended.code);
    }
    Ok(Some((ended.home, remarks)))
}

impl Linting {
    fn judge(&self, linted: &[Linted]) -> anyhow::Result<()> {
        let Some(limit) = self.fail_on else {
            return Ok(());
        };
        let over = |linted: &Linted| {
            let findings = linted.findings.iter();
            findings.filter(|finding| finding.severity >= limit).count()
        };
        let parts: Vec<_> = linted
            .iter()
            .filter(|linted| over(linted) > 0)
            .map(|linted| format!("{} {}", linted.linter.name, over(linted)))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let total = linted.iter().map(over).sum();
        let words = text::plural(total, "finding");
        let level = level(limit);
        Err(PolicyFailure(format!(
            "static analysis: {words} of level `{level}` or worse ({})",
            parts.join(", ")
        ))
        .into())
    }
}

/// The level of a linter's finding, as annotations call it.
pub(crate) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::ExitStatus;

    #[test]
    fn findings_under_the_threshold_do_not_fail() {
        let linted = [Linted {
            linter: &LINTERS[0],
            home: "test stage",
            findings: linter::tests::findings(&[Severity::Medium, Severity::Low]),
        }];
        let judge = |fail_on| {
            let linting = Linting {
                linters: Vec::new(),
                required: false,
                fail_on,
                timeout: std::time::Duration::from_secs(1),
            };
            let verdict = linting.judge(&linted).err();
            verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()))
        };
        assert_eq!(judge(None), None);
        assert_eq!(judge(Some(Severity::High)), None);
        let said = |count: &str, level: &str, number| {
            let text =
                format!("static analysis: {count} of level `{level}` or worse (ruff {number})");
            Some((1, text))
        };
        assert_eq!(
            judge(Some(Severity::Medium)),
            said("1 finding", "warning", 1)
        );
        assert_eq!(judge(Some(Severity::Low)), said("2 findings", "note", 2));
    }
}
