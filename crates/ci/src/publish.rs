//! Files for later steps, and what GitHub is told: the Security tab, the pull request.
//!
//! A token that may not is no verdict on the code: it is said, and the step goes on.

use actions_toolkit::{Context, Secret};
use anyhow::Context as _;
use findings::Finding;
use findings::sarif::{self, Analysis, TRIVY};
use github::{CodeScanning, Commented, Packed, Place, PullRequest};

use crate::keep;
use crate::proof::Proof;
use crate::report;
use crate::request::Request;

/// Write the `JUnit` report and the SARIF file, as far as there is one, and set their outputs.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn files(ctx: &Context, request: &Request, proof: &Proof) -> anyhow::Result<()> {
    if let (Some(tests), Some(text)) = (&request.tests, &proof.suite.junit_text) {
        keep::file(request, &tests.junit_file, text)?;
        ctx.output("junit-file", &tests.junit_file);
    }
    if let Some(sarif) = sarif(ctx, proof, |findings| findings)? {
        keep::file(request, &request.sarif_file, &sarif)?;
        ctx.output("sarif-file", &request.sarif_file);
    }
    Ok(())
}

// One analysis for each linter that ran, also one that found nothing: that closes its alerts. Each has those of its
// findings that `of` takes.
fn sarif(
    ctx: &Context,
    proof: &Proof,
    of: fn(&[Finding]) -> &[Finding],
) -> anyhow::Result<Option<Vec<u8>>> {
    let family = family(ctx);
    let linted = proof.analysis.iter().flat_map(|analysis| &analysis.linted);
    let mut parts: Vec<_> = linted
        .map(|linted| {
            let driver = &linted.linter.driver;
            let category = format!("{family}/{}", driver.name);
            (driver, category, "", &linted.findings[..])
        })
        .collect();
    if let Some(found) = &proof.dependencies {
        let category = format!("{family}/fs/{}", found.file);
        parts.push((&TRIVY, category, &found.version, &found.findings));
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let analyses: Vec<_> = parts
        .iter()
        .map(|(driver, category, version, findings)| Analysis {
            driver,
            category,
            version,
            findings: of(findings),
        })
        .collect();
    sarif::write(&analyses, sarif::SHOWN).map(Some)
}

fn family(ctx: &Context) -> String {
    let github = ctx.github();
    let workflow = github.workflow_path().unwrap_or("local");
    format!("{workflow}:{}", github.job().unwrap_or("local"))
}

/// Tell GitHub.
///
/// # Errors
/// When GitHub refuses the SARIF file, or fails.
pub(crate) async fn tell(
    ctx: &Context,
    request: &Request,
    proof: &Proof,
    passed: bool,
) -> anyhow::Result<()> {
    let (Some(token), Some(repository)) = (&request.github.token, ctx.github().repository()) else {
        return Ok(());
    };
    if request.github.comment {
        comment(ctx, request, proof, (token, repository), passed).await;
    }
    match sarif(ctx, proof, sarif::told)? {
        Some(file) if request.github.upload => {
            upload(ctx, request, (token, repository), &file).await
        }
        _ => Ok(()),
    }
}

async fn upload(
    ctx: &Context,
    request: &Request,
    (token, repository): (&Secret, &str),
    file: &[u8],
) -> anyhow::Result<()> {
    let (log, github) = (ctx.log(), ctx.github());
    let place = match Place::of(&github, &request.workspace) {
        Ok(place) => place,
        Err(reason) => {
            log.notice(format!("the findings are not uploaded: {reason}"));
            return Ok(());
        }
    };
    let http = ctx.http()?.clone();
    let scanning = CodeScanning::new(http, github.api_url(), repository, token.expose())?;
    match scanning.upload(&Packed::of(file)?, &place).await {
        Ok(done) => {
            ctx.output("sarif-id", &done.id);
            log.info("the findings are in the Security tab");
            Ok(())
        }
        Err(error) if error.is_setting() => {
            log.warning(format!("the findings are not in the Security tab: {error}"));
            Ok(())
        }
        Err(error) => Err(anyhow::Error::new(error).context("while uploading to the Security tab")),
    }
}

async fn comment(
    ctx: &Context,
    request: &Request,
    proof: &Proof,
    (token, repository): (&Secret, &str),
    passed: bool,
) {
    let (log, github) = (ctx.log(), ctx.github());
    let event = github.event().unwrap_or_default();
    let number = event
        .pointer("/pull_request/number")
        .and_then(serde_json::Value::as_u64);
    let Some(number) = number else {
        return;
    };
    let body = report::comment(request, proof, passed, github.run_url().as_deref());
    let marker = format!("seaworthy ci {}", family(ctx));
    let told = async {
        let http = ctx.http()?.clone();
        PullRequest::new(http, github.api_url(), repository, token.expose(), number)?
            .keep(&marker, &body, false)
            .await
            .context("while keeping the comment up to date")
    };
    match told.await {
        Ok(Some(Commented::NotPermitted)) => log.notice(
            "the pull request has no comment: the token may not write one; give the job `permissions: pull-requests: write`, or set `comment: false`",
        ),
        Ok(_) => {}
        Err(error) => log.warning(format!("the pull request has no comment: {error:#}")),
    }
}
