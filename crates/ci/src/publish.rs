//! Files for later steps, and what is published on GitHub: the Security tab, the comment on the pull request.

use actions_toolkit::{Context, Level};
use findings::Finding;
use findings::sarif::{self, Analysis, TRIVY};
use github::{CompressedSarif, Publisher, Recorder, StoredImage};

use crate::outcome::Outcome;
use crate::report;
use crate::request::Request;

/// Write the `JUnit` report and the SARIF file, if there are any, and set their outputs. This happens after the builds,
/// so that a context that is the whole workspace is the same for both of them.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn files(ctx: &Context, request: &Request, outcome: &Outcome) -> anyhow::Result<()> {
    let coverage_file = request
        .tests
        .as_ref()
        .and_then(|tests| tests.coverage_file.as_ref());
    if let (Some(file), Some(text)) = (coverage_file, &outcome.tests.coverage_text) {
        file.write(text)?;
    }
    if let (Some(tests), Some(text)) = (&request.tests, &outcome.tests.junit_text) {
        tests.junit_file.write(text)?;
        ctx.output("junit-file", tests.junit_file.relative());
    }
    if let Some(sarif) = sarif(request, outcome, |findings| findings)? {
        request.sarif_file.write(&sarif)?;
        ctx.output("sarif-file", request.sarif_file.relative());
    }
    Ok(())
}

// One analysis for each linter that ran, even without findings, which closes its alerts. `select` selects the findings
// of each.
fn sarif(
    request: &Request,
    outcome: &Outcome,
    select: fn(&[Finding]) -> &[Finding],
) -> anyhow::Result<Option<Vec<u8>>> {
    let job = &request.category;
    let linted = outcome
        .analysis
        .iter()
        .flat_map(|analysis| &analysis.linted);
    let mut parts: Vec<_> = linted
        .map(|linted| {
            let driver = &linted.linter.driver;
            let category = format!("{job}/{}", driver.name);
            (driver, category, "", &linted.findings[..])
        })
        .collect();
    if let Some(dependencies) = &outcome.dependencies {
        let category = format!("{job}/fs/{}", dependencies.file);
        let (version, findings) = (&dependencies.version, &dependencies.findings);
        parts.push((&TRIVY, category, version, findings));
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
            findings: select(findings),
        })
        .collect();
    sarif::write(&analyses, sarif::SHOWN).map(Some)
}

/// Add the coverage of the lines that the pull request adds to `outcome`, if there is one and the token may read them. They are
/// information: what goes wrong is logged.
pub(crate) async fn look_up_changes(ctx: &Context, request: &Request, outcome: &mut Outcome) {
    let token = request.github.token.as_ref().map(|token| &token.0);
    let Some(coverage) = &outcome.tests.coverage else {
        return;
    };
    let root = request.workspace.root();
    let Ok(Some(publisher)) = Publisher::new(ctx, token, root) else {
        return;
    };
    let Some(pull_request) = publisher.pull_request() else {
        return;
    };
    match pull_request.changed_files().await {
        Ok(files) => outcome.tests.changed = Some(coverage.of_changes(root, &files)),
        Err(e) => ctx.log().info(format!(
            "the coverage of the changed lines is unknown: {e:#}"
        )),
    }
}

/// Publish the results on GitHub, as far as the inputs request it.
///
/// # Errors
/// When GitHub rejects the SARIF file, or fails.
pub(crate) async fn publish(
    ctx: &Context,
    request: &Request,
    outcome: &Outcome,
    passed: bool,
) -> anyhow::Result<()> {
    let token = request.github.token.as_ref().map(|token| &token.0);
    let Some(publisher) = Publisher::new(ctx, token, request.workspace.root())? else {
        return Ok(());
    };
    let github = ctx.github();
    if request.github.comment {
        let body = report::comment(request, outcome, passed, github.run_url().as_deref());
        let marker = format!("seaworthy ci {}", request.category);
        publisher.comment(&marker, &body, false).await;
    }
    if !request.github.upload {
        return Ok(());
    }
    let Some(sarif) = sarif(request, outcome, sarif::open)? else {
        return Ok(());
    };
    let file = CompressedSarif::new(&sarif, ctx.log().redactor())?;
    if let Some(uploaded) = publisher.upload(&file, Level::Warning).await? {
        ctx.output("sarif-id", &uploaded.id);
        ctx.log().info("the findings are in the Security tab");
    }
    Ok(())
}

/// Record on GitHub which registries have the image, if that is requested. What goes wrong is logged, and changes no verdict.
pub(crate) async fn record(ctx: &Context, request: &Request, outcome: &Outcome) {
    let (Some(token), [_, ..]) = (&request.records, &outcome.image.pushed[..]) else {
        return;
    };
    let Some(recorder) = Recorder::new(ctx, token) else {
        return;
    };
    let images = outcome.image.pushed.iter().map(|pushed| {
        let (host, repository) = pushed.image.in_registry();
        StoredImage {
            host: host.to_owned(),
            repository: repository.into_owned(),
            digest: pushed.digest.to_string(),
        }
    });
    recorder.store(&images.collect::<Vec<_>>()).await;
}
