//! Static analysis: linters from the environment of the test stage, or from the runner.
//!
//! A linter of the test stage has what the tests have: the versions and plugins that the project locked, and the types
//! of its packages.

mod findings;
mod linter_host;
pub(crate) mod linters;

use ::findings::Finding;
use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use futures_util::future::join_all;
use serde::Deserialize;
use trivy::Severity;

use crate::job::Job;
use crate::request::Linting;
use crate::source_map::SourceMap;

use linter_host::LinterHost;
use linters::{Diagnostic, Linter};

/// The result of the linters.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// The linters that ran, in the order of [`LINTERS`](linters::LINTERS).
    pub(crate) linted: Vec<Linted>,
    /// The names of the linters that are not installed.
    pub(crate) missing: Vec<&'static str>,
    /// Of the packages in the test stage.
    pub(crate) licenses: Vec<License>,
}

/// The result of a linter.
#[derive(Debug)]
pub(crate) struct Linted {
    pub(crate) linter: &'static Linter,
    /// `test stage` or `runner`.
    pub(crate) host: &'static str,
    /// The most severe first.
    pub(crate) findings: Vec<Finding>,
}

/// Name, version and license of a package, from its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct License(pub(crate) String, pub(crate) String, pub(crate) String);

/// Run the requested linters in a container of the test stage `image`, and add the results to `analysis`.
///
/// # Errors
/// A [`PolicyFailure`] when there is a finding at or over the threshold; another error when a linter fails.
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
    // A stage without `sleep` has no linters.
    let container = job.docker.start(&spec).await.ok();
    let limit = ("test-timeout", linting.timeout);
    let work = run_all(job, linting, image, container.as_ref(), analysis);
    // The container is removed with those of the run.
    with_timeout(job.ctx.log(), "the static analysis", limit, work).await??;
    for linted in &analysis.linted {
        let findings = text::plural(linted.findings.len(), "finding");
        let name = linted.linter.name;
        job.log
            .info(format!("{name} ({}): {findings}", linted.host));
    }
    linting.check(&analysis.linted)
}

async fn run_all(
    job: &Job<'_>,
    linting: &Linting,
    image: &ImageInfo,
    container: Option<&Container>,
    analysis: &mut Analysis,
) -> anyhow::Result<()> {
    let source_map = SourceMap::new(job.request, image);
    let host = LinterHost::new(job, container, &image.config);
    let build = &job.request.build;
    let dockerfile = std::fs::read(build.context.join(&build.dockerfile))
        .context("failed to read the Dockerfile")?;
    host.copy_dockerfile(&dockerfile).await;
    let runs = linting.linters.iter().map(|linter| run_one(&host, linter));
    let (runs, licenses) = tokio::join!(join_all(runs), host.licenses());
    analysis.licenses = licenses;
    for (linter, run) in linting.linters.iter().zip(runs) {
        let result = run.with_context(|| format!("failed to run {}", linter.name))?;
        let Some((host, diagnostics)) = result else {
            analysis.missing.push(linter.name);
            continue;
        };
        let findings = findings::from_diagnostics(job.request, &source_map, diagnostics);
        analysis.linted.push(Linted {
            linter,
            host,
            findings,
        });
    }
    if linting.required && !analysis.missing.is_empty() {
        bail!(
            "{} neither in the test stage nor on the runner; install it in the stage `{}`, or remove it from `static-analysis`",
            with_verb(&analysis.missing),
            job.request
                .tests
                .as_ref()
                .map_or("test", |tests| &tests.target),
        );
    }
    Ok(())
}

fn with_verb(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

async fn run_one(
    host: &LinterHost<'_>,
    linter: &'static Linter,
) -> anyhow::Result<Option<(&'static str, Vec<Diagnostic>)>> {
    let Some(output) = host.run(linter).await? else {
        return Ok(None);
    };
    if !linter.exit_codes.contains(&output.code) {
        let last: Vec<_> = output.text.lines().rev().take(3).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        bail!("exited with code {}: {last}", output.code);
    }
    let diagnostics = (linter.parse)(&output.stdout)
        .map_err(|e| anyhow::anyhow!("its output is invalid: {e}"))?;
    if output.code != 0 && diagnostics.is_empty() && linter.name != "pip check" {
        bail!("exited with code {} without a finding", output.code);
    }
    Ok(Some((output.host, diagnostics)))
}

impl Linting {
    fn check(&self, linted: &[Linted]) -> anyhow::Result<()> {
        let Some(threshold) = self.fail_on else {
            return Ok(());
        };
        let over = |linted: &Linted| {
            let findings = linted.findings.iter();
            findings
                .filter(|finding| finding.severity >= threshold)
                .count()
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
        let total = text::plural(total, "finding");
        let level = level(threshold);
        Err(PolicyFailure(format!(
            "static analysis: {total} of level `{level}` or worse ({})",
            parts.join(", ")
        ))
        .into())
    }
}

/// The level of a finding of a linter, as `fail-on-analysis` and GitHub's annotations name it.
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
            linter: &linters::LINTERS[0],
            host: "test stage",
            findings: findings::tests::findings(&[Severity::Medium, Severity::Low]),
        }];
        let check = |fail_on| {
            let linting = Linting {
                linters: Vec::new(),
                required: false,
                fail_on,
                timeout: std::time::Duration::from_secs(1),
            };
            let verdict = linting.check(&linted).err();
            verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()))
        };
        assert_eq!(check(None), None);
        assert_eq!(check(Some(Severity::High)), None);
        let failure = |count: &str, level: &str, number| {
            let text =
                format!("static analysis: {count} of level `{level}` or worse (ruff {number})");
            Some((1, text))
        };
        assert_eq!(
            check(Some(Severity::Medium)),
            failure("1 finding", "warning", 1)
        );
        assert_eq!(check(Some(Severity::Low)), failure("2 findings", "note", 2));
    }
}
