//! The `trivy-scan` action: one scan, every answer.

mod action;
mod findings;
mod place;
mod report;
mod request;
mod sarif;

use std::path::Path;

use actions_toolkit::{Context, Done, PolicyFailure, text};
use anyhow::Context as _;
use github::{CodeScanning, Place};
use trivy::{Database, Scan, Scanned, Severity};

pub use action::ACTION;
use findings::{Counts, Finding};
use place::Places;
use request::{Gate, Request};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when there are findings at or over `fail-on`;
/// anything else when there is no verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let version = trivy::version(ctx.env(), ctx.log()).await?;
    let mut scan = Scan::new(request.target.clone(), &request.database.cache);
    scan.limit = request.limit;
    scan.folder.clone_from(&request.workspace);
    scan.ignore_file.clone_from(&request.ignore_file);
    scan.skip = vec![request.sarif_file.clone(), request.report_file.clone()];
    let database = if scan.needs_database() {
        Some(Database::provide(&request.database, ctx.env(), ctx.log()).await?)
    } else {
        None
    };
    let scanned = scan.run(ctx.env(), ctx.log()).await?;

    let dockerfile = request
        .dockerfile
        .as_ref()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let places = Places::new(&request.name, &request.prefix, dockerfile);
    let findings = findings::of(&scanned.report, &places);
    let counts = Counts::of(&findings);
    let (sarif, left_out) = sarif::of(&findings, &request.category, &version)?;
    write(&request.sarif_file, &sarif)?;
    write(&request.report_file, &scanned.raw)?;

    let age = database
        .as_ref()
        .and_then(|database| age(&database.updated_at));
    outputs(ctx, &request, &counts, age);
    let gaps = say(ctx, &scanned, &findings, &counts, left_out);
    let uploaded = upload(ctx, &request, &sarif).await?;
    let summary = report::Summary {
        name: &request.name,
        counts: &counts,
        findings: &findings,
        gaps: &gaps,
        database: database
            .as_ref()
            .map(|database| (age.unwrap_or_default(), &database.origin)),
        security_tab: uploaded.then(|| {
            let github = ctx.github();
            format!(
                "{}/{}/security/code-scanning",
                github.server_url(),
                github.repository().unwrap_or_default()
            )
        }),
    };
    ctx.summary(summary.markdown());
    verdict(&findings, request.gate)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("while making `{}`", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("while writing `{}`", path.display()))
}

// Whole hours since `updated_at`.
fn age(updated_at: &str) -> Option<u64> {
    let updated: jiff::Timestamp = updated_at.parse().ok()?;
    u64::try_from((jiff::Timestamp::now().as_second() - updated.as_second()) / 3600).ok()
}

fn outputs(ctx: &Context, request: &Request, counts: &Counts, age: Option<u64>) {
    ctx.output("total", counts.total());
    for severity in Severity::WORST_FIRST {
        ctx.output(severity.name(), counts.get(severity));
    }
    ctx.output("fixable", counts.fixable);
    ctx.output("sarif-file", request.relative(&request.sarif_file));
    ctx.output("report-file", request.relative(&request.report_file));
    ctx.output(
        "database-age",
        age.map_or_else(String::new, |age| age.to_string()),
    );
}

fn say(
    ctx: &Context,
    scanned: &Scanned,
    findings: &[Finding],
    counts: &Counts,
    left_out: usize,
) -> Vec<String> {
    for line in report::table(findings) {
        ctx.log().info(line);
    }
    ctx.log().info(report::counts(counts));
    let mut gaps = report::gaps(&scanned.report);
    if left_out > 0 {
        gaps.push(format!(
            "{} of the least severe are not in the SARIF file: GitHub takes 25,000",
            text::plural(left_out, "finding")
        ));
    }
    for gap in &gaps {
        ctx.log().warning(gap);
    }
    gaps
}

// Whether the Security tab has them. A repository or token that can't is no verdict on the image.
async fn upload(ctx: &Context, request: &Request, sarif: &[u8]) -> anyhow::Result<bool> {
    if !request.upload {
        return Ok(false);
    }
    let github = ctx.github();
    let (Some(token), Some(repository), Some(place)) =
        (&request.token, github.repository(), Place::of(&github))
    else {
        ctx.log()
            .notice("the findings are not uploaded: there is no token, or this is no workflow run");
        return Ok(false);
    };
    let scanning = CodeScanning::new(
        ctx.http()?.clone(),
        github.api_url(),
        repository,
        token.expose(),
    )?;
    let checkout = format!("file://{}/", request.workspace.display());
    match scanning.upload(sarif, &place, &checkout).await {
        Ok(id) => {
            ctx.output("sarif-id", &id);
            ctx.log().info(format!(
                "uploaded to the Security tab as {}",
                request.category
            ));
            Ok(true)
        }
        Err(error) if error.is_setting() => {
            ctx.log()
                .warning(format!("the findings are not in the Security tab: {error}"));
            Ok(false)
        }
        Err(error) => Err(anyhow::Error::new(error).context("while uploading to the Security tab")),
    }
}

fn verdict(findings: &[Finding], gate: Gate) -> anyhow::Result<Done> {
    let Some(fail_on) = gate.fail_on else {
        return Ok(Done("passed"));
    };
    let counts = |finding: &&Finding| {
        finding.suppressed.is_none()
            && finding.severity >= fail_on
            && (finding.fixable() || !gate.fixable_only)
    };
    let over = findings.iter().filter(counts).count();
    if over == 0 {
        return Ok(Done("passed"));
    }
    let kind = if gate.fixable_only {
        "fixable finding"
    } else {
        "finding"
    };
    Err(PolicyFailure(format!(
        "{} of severity {fail_on} or worse; update what has a fixed version, or list in `ignore-file` what can't hurt here",
        text::plural(over, kind)
    ))
    .into())
}
