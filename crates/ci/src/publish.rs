//! Files for later steps, and what GitHub is told: the Security tab, the pull request.
//!
//! A token that may not is no verdict on the code: it is said, and the step goes on.

use actions_toolkit::{Context, Level};
use findings::Finding;
use findings::sarif::{self, Analysis, TRIVY};
use github::{CompressedSarif, Publisher};

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
    let family = github::job_category(&ctx.github());
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

/// Publish on GitHub: the comment and the Security tab, as far as they are asked for.
///
/// # Errors
/// When GitHub rejects the SARIF file, or fails.
pub(crate) async fn publish(
    ctx: &Context,
    request: &Request,
    proof: &Proof,
    passed: bool,
) -> anyhow::Result<()> {
    let token = request.github.token.as_ref();
    let Some(publisher) = Publisher::new(ctx, token, &request.workspace)? else {
        return Ok(());
    };
    let github = ctx.github();
    if request.github.comment {
        let body = report::comment(request, proof, passed, github.run_url().as_deref());
        let marker = format!("seaworthy ci {}", github::job_category(&github));
        publisher.comment(&marker, &body, false).await;
    }
    if !request.github.upload {
        return Ok(());
    }
    let Some(sarif) = sarif(ctx, proof, sarif::told)? else {
        return Ok(());
    };
    let file = CompressedSarif::new(&sarif)?;
    if let Some(uploaded) = publisher.upload(&file, Level::Warning).await? {
        ctx.output("sarif-id", &uploaded.id);
        ctx.log().info("the findings are in the Security tab");
    }
    Ok(())
}
