//! Known vulnerabilities in the packages of the lock file, found by Trivy.

mod trivy_binary;

use actions_toolkit::{PolicyFailure, text};
use anyhow::Context as _;
use findings::{Counts, Finding, Locator, SourceFiles};
use trivy::{Database, Scan, Scanner, Severity, Target};

use crate::job::Job;
use crate::request::LockFile;

use trivy_binary::TrivyBinary;

/// The result of the scan of a lock file.
#[derive(Debug)]
pub(crate) struct Dependencies {
    /// Relative to the workspace.
    pub(crate) file: String,
    /// Of Trivy.
    pub(crate) version: String,
    /// Names in lower case.
    pub(crate) packages: Vec<String>,
    /// The most severe first.
    pub(crate) findings: Vec<Finding>,
}

/// Scan the lock file, and set `dependencies`.
///
/// # Errors
/// A [`PolicyFailure`] when there is a vulnerability at or over the threshold; another error when there is no result.
pub(crate) async fn scan(
    job: &Job<'_>,
    request: &LockFile,
    dependencies: &mut Option<Dependencies>,
) -> anyhow::Result<()> {
    let log = job.log;
    let file = request.path.relative();
    let failed = || format!("failed to scan the packages of `{file}`");
    let trivy = TrivyBinary::provide(job, request.trivy_image.as_ref())
        .await
        .with_context(failed)?;
    let env = &trivy.env;
    let version = trivy::version(env, log).await.with_context(failed)?;
    Database::provide(&request.database, log)
        .await
        .with_context(failed)?;
    let mut scan = Scan::new(Target::Filesystem(file.into()), &request.database.cache);
    scan.scanners = vec![Scanner::Vulnerabilities];
    scan.directory = job.request.workspace.root().to_owned();
    let report = scan.run(env, log).await.with_context(failed)?.report;
    let mut packages: Vec<_> = report
        .results
        .iter()
        .flat_map(|result| &result.packages)
        .map(|package| package.name.to_lowercase())
        .collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() {
        anyhow::bail!(
            "Trivy found no packages in `{file}`, so nothing is verified; use a lock file that it supports (trivy.dev, language coverage)"
        );
    }
    let source = SourceFiles::new(job.request.workspace.root());
    let findings = findings::from_report(report, &Locator::new(file, file, &source));
    let verdict = check(file, &findings, request.fail_on);
    log.info(format!(
        "`{file}`: {} of {}",
        findings.iter().collect::<Counts>(),
        text::plural(packages.len(), "package")
    ));
    *dependencies = Some(Dependencies {
        file: file.to_owned(),
        version,
        packages,
        findings,
    });
    verdict
}

fn check(file: &str, findings: &[Finding], fail_on: Option<Severity>) -> anyhow::Result<()> {
    let Some(threshold) = fail_on else {
        return Ok(());
    };
    let over: Vec<_> = findings
        .iter()
        .filter(|finding| finding.is_open() && finding.severity >= threshold)
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = over
        .iter()
        .filter_map(|finding| finding.package())
        .map(|package| package.name.as_str())
        .collect();
    packages.dedup();
    packages.truncate(3);
    let verb = if over.len() == 1 { "is" } else { "are" };
    Err(PolicyFailure(format!(
        "{} of `{file}` {verb} of severity {threshold} or worse ({}); update what has a fixed version",
        match over.len() {
            1 => "1 vulnerability".to_owned(),
            count => format!("{count} vulnerabilities"),
        },
        packages.join(", ")
    ))
    .into())
}
