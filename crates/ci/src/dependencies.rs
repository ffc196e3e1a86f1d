//! The packages of the lock file: known vulnerabilities, through Trivy.

use actions_toolkit::{PolicyFailure, text};
use anyhow::Context as _;
use findings::{Counts, Finding, Locator, SourceFiles};
use trivy::{Database, Scan, Scanner, Severity, Target};

use crate::job::Job;
use crate::request::LockFile;
use crate::scanner;

/// What is known of the packages of a lock file.
#[derive(Debug)]
pub(crate) struct Dependencies {
    /// The lock file, relative to the workspace.
    pub(crate) file: String,
    /// Trivy's version.
    pub(crate) version: String,
    /// Its packages, in lower case.
    pub(crate) packages: Vec<String>,
    /// What is known against them, the worst first.
    pub(crate) findings: Vec<Finding>,
}

/// Scan the lock file, and put the answer into `found`.
///
/// # Errors
/// A [`PolicyFailure`] when there is a vulnerability at or over the threshold; another error when there is no answer.
pub(crate) async fn scan(
    job: &Job<'_>,
    wanted: &LockFile,
    found: &mut Option<Dependencies>,
) -> anyhow::Result<()> {
    let log = job.log;
    let file = &wanted.lock_file;
    let what = || format!("while scanning the packages of `{file}`");
    let scanner = scanner::Trivy::provide(job, wanted.trivy_image.as_ref())
        .await
        .with_context(what)?;
    let env = &scanner.env;
    let version = trivy::version(env, log).await.with_context(what)?;
    Database::provide(&wanted.database, log)
        .await
        .with_context(what)?;
    let mut scan = Scan::new(Target::Filesystem(file.into()), &wanted.database.cache);
    scan.scanners = vec![Scanner::Vulnerabilities];
    scan.directory.clone_from(&job.request.workspace);
    let report = scan.run(env, log).await.with_context(what)?.report;
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
            "Trivy found no package in `{file}`: nothing is proven; name a lock file that it knows (trivy.dev, coverage of languages)"
        );
    }
    let source = SourceFiles::new(&job.request.workspace);
    let findings = findings::from_report(report, &Locator::new(file, file, &source));
    let verdict = judge(file, &findings, wanted.fail_on);
    log.info(format!(
        "`{file}`: {} of {}",
        findings.iter().collect::<Counts>(),
        text::plural(packages.len(), "package")
    ));
    *found = Some(Dependencies {
        file: file.clone(),
        version,
        packages,
        findings,
    });
    verdict
}

fn judge(file: &str, findings: &[Finding], fail_on: Option<Severity>) -> anyhow::Result<()> {
    let Some(limit) = fail_on else {
        return Ok(());
    };
    let over: Vec<_> = findings
        .iter()
        .filter(|finding| finding.is_open() && finding.severity >= limit)
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
        "{} of `{file}` {verb} of severity {limit} or worse ({}): update what has a fixed version",
        match over.len() {
            1 => "1 vulnerability".to_owned(),
            count => format!("{count} vulnerabilities"),
        },
        packages.join(", ")
    ))
    .into())
}
