//! The `trivy-scan` action: one scan of each target, everything else from its report.
//!
//! `request` (inputs) → `scan` (Trivy) → `baseline` (what is new) → `report` and `publish` → `verdict` (the gate).

mod action;
mod baseline;
mod exploitation;
mod filter;
#[cfg(fuzzing)]
pub mod fuzz;
mod network;
mod part;
mod publish;
mod report;
mod request;
mod scan;
mod statement;
mod verdict;
mod vex;

use actions_toolkit::text::plural;
use actions_toolkit::{Context, Done, PrivateDirectory};
use trivy::Database;

pub use action::ACTION;
use exploitation::Exploitation;
use fleet::Part;
pub use network::NETWORK;
use publish::{Imported, Publisher, SarifFile, sbom};
use request::Request;
use scan::{
    Failure, LayerCaches, Listing, Outcomes, Records, Scans, expand, list, registry_login,
    trivy_scan,
};
use vex::Vex;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when there are findings at or over `fail-on`; any other error
/// when there is no verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    tokio::select! {
        outcome = run_to_end(ctx) => outcome,
        // Trivy is stopped with the work, and the credentials are removed.
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    }
}

async fn run_to_end(ctx: &Context) -> anyhow::Result<Done> {
    let mut request = Box::pin(Request::new(ctx)).await?;
    let files = std::mem::take(&mut request.sarif_files);
    if request.targets.is_empty() && request.selection.is_none() {
        let imported = Imported::new(ctx, &request, files, &[]).await?;
        let publisher = Publisher::new(ctx, &request)?;
        upload_imported(ctx, publisher.as_ref(), &imported).await?;
        return Ok(Done("passed"));
    }
    if let Some(fleet) = request
        .fleet
        .as_ref()
        .filter(|fleet| fleet.part == Part::Merge)
    {
        return part::merge(ctx, fleet);
    }
    request.registries.report(ctx);
    let mut listing = list(ctx, &mut request).await?;
    if let Some(lookup) = listing.lookup.take() {
        return part::plan(ctx, &request, &listing, lookup);
    }
    if request.targets.is_empty() {
        return without_targets(ctx, &request, &listing, files).await;
    }
    listing.failures.extend(expand(ctx, &mut request).await?);
    let login = match &request.registries {
        registries if registries.logins.is_empty() => None,
        registries => Some(registry_login(ctx, registries)?),
    };
    // Removed at the end of the run.
    let settings = match &request.trivy_config {
        Some(config) => Some(config.write(ctx)?),
        None => None,
    };
    let vex = Vex::provide(ctx, &request).await?;
    let scans = Scans {
        ctx,
        request: &request,
        registry: listing.registry.take(),
        vex: &vex,
        trivy_config: settings.as_ref().map(|(_, path)| path.clone()),
        layer_caches: LayerCaches::new(&request.database.cache),
        docker_config: login.as_ref().map(|directory| directory.path().to_owned()),
    };
    // Before the scans: without it, they would be in vain.
    let exploitation =
        Exploitation::provide(ctx, &request.exploitation, request.gate.fail_on).await?;
    // What is published needs a client, and Trivy takes longer than that.
    let client = async {
        if request.github.token.is_some() {
            ctx.prepare_http().await;
        }
    };
    let (found, ()) = tokio::join!(biased; Box::pin(scan(&scans)), client);
    let (scanner, mut outcomes) = found.inspect_err(|error| part::failed(ctx, &request, error))?;
    outcomes.failures.splice(..0, listing.failures);
    let sboms = sbom::requested(&request, &outcomes.scanned);
    let (published, written) = tokio::join!(
        compare_and_publish(
            &scans,
            &mut outcomes,
            &exploitation,
            scanner,
            (login, files),
            listing.skipped.len(),
        ),
        sbom::write(ctx, sboms),
    );
    published?;
    written?;
    part::done(&request, &outcomes, &exploitation)?;
    if !outcomes.failures.is_empty() {
        return Err(Failure::joined(&outcomes.failures));
    }
    let done = request
        .gate
        .judge(report::gated(&outcomes.scanned), &exploitation)?;
    let not_scanned = outcomes.scanned.iter().map(|o| o.coverage.not_scanned);
    if request.fail_on_not_scanned {
        verdict::judge_coverage(not_scanned.sum())?;
    }
    Ok(done)
}

// The registry has nothing to scan: each image is skipped, or can't be read.
async fn without_targets(
    ctx: &Context,
    request: &Request,
    listing: &Listing,
    files: Vec<request::SarifFile>,
) -> anyhow::Result<Done> {
    if !listing.failures.is_empty() {
        return Err(Failure::joined(&listing.failures));
    }
    ctx.log()
        .notice("no image of the registry is scanned: each one is skipped");
    if !files.is_empty() {
        let imported = Imported::new(ctx, request, files, &[]).await?;
        let publisher = Publisher::new(ctx, request)?;
        upload_imported(ctx, publisher.as_ref(), &imported).await?;
    }
    Ok(Done("passed"))
}

/// What the scans were made with.
struct Scanner {
    /// Trivy's version.
    version: String,
    /// `None` if no target needs it.
    database: Option<Database>,
}

async fn scan(scans: &Scans<'_>) -> anyhow::Result<(Scanner, Outcomes)> {
    let (ctx, request) = (scans.ctx, scans.request);
    let held = ctx.log().buffered();
    let version = async { anyhow::Ok(trivy::version(ctx.env(), held.log()).await?) };
    let database = async {
        let needs_database = |target| trivy_scan(request, target).needs_database();
        anyhow::Ok(if request.targets.iter().any(needs_database) {
            Some(Database::provide(&request.database, ctx.log()).await?)
        } else {
            None
        })
    };
    let is_listed = request.selection.is_some();
    // A rejected version of Trivy must not see credentials. Without any, the scans do not wait for the version, unless it decides
    // whether there is anything to scan.
    let (version, (database, outcomes)) = if is_listed || scans.docker_config.is_some() {
        let version = version.await?;
        let database = database.await?;
        // The rules are in files that the settings name.
        let has_rules = request.trivy_config.as_ref();
        let has_rules = has_rules.is_some_and(|config| config.has_secret_rules);
        let used = database.as_ref().filter(|_| is_listed && !has_rules);
        let records = used.map(|used| Records::open(request, &version, used));
        let outcomes = scans.run_all(records.as_ref()).await?;
        (version, (database, outcomes))
    } else {
        let outcomes = async { anyhow::Ok((database.await?, scans.run_all(None).await?)) };
        tokio::try_join!(biased; version, outcomes)?
    };
    Ok((Scanner { version, database }, outcomes))
}

// Compare with the baseline, write the files, outputs, log and summary, and publish on GitHub.
async fn compare_and_publish(
    scans: &Scans<'_>,
    outcomes: &mut Outcomes,
    exploitation: &Exploitation,
    scanner: Scanner,
    (login, files): (Option<PrivateDirectory>, Vec<request::SarifFile>),
    skipped: usize,
) -> anyhow::Result<()> {
    let (ctx, request) = (scans.ctx, scans.request);
    let database = scanner.database.as_ref();
    let failures = &outcomes.failures;
    let outcomes = &mut outcomes.scanned;
    let publisher = Publisher::new(ctx, request)?;
    let mut remarks = baseline::compare(scans, publisher.as_ref(), outcomes, exploitation).await?;
    // The scan of a baseline was the last one that needs the credentials.
    drop(login);
    remarks.extend(
        baseline::find_dismissed(request, publisher.as_ref(), outcomes, exploitation).await?,
    );
    remarks.extend(failures.iter().map(ToString::to_string));
    if skipped > 0 {
        let count = plural(skipped, "image");
        remarks.push(format!(
            "{count} of the registry not scanned, each for a reason in the log"
        ));
    }

    let kept = match &publisher {
        Some(publisher) => publisher.keep_fingerprints(outcomes).await,
        None => Ok(()),
    };
    let imported = match &files[..] {
        [] => None,
        _ => Some(Imported::new(ctx, request, files, outcomes).await?),
    };
    let mut sarif = SarifFile::new(outcomes, &scanner.version, ctx.log().redactor())?;
    // It may be as large as all the rest, and is not needed any longer.
    let text = std::mem::take(&mut sarif.text);
    request.sarif_file.write_redacted(&text)?;
    drop(text);
    if let Some(file) = &request.table_file {
        file.write(report::table(outcomes, &request.filter).as_bytes())?;
    }
    report::set_outputs(ctx, request, outcomes, database);
    let used = (scanner.version.as_str(), database);
    remarks.extend(report::notes(scans, outcomes, used, sarif.omitted));
    report::log(ctx, request, outcomes, &remarks);
    exploitation
        .sources()
        .for_each(|source| ctx.log().info(source));
    let vex = report::vex_lines(request, scans.vex, outcomes);
    for line in &vex {
        ctx.log().info(line);
    }

    let upload = match &publisher {
        Some(publisher) => {
            let results = (&outcomes[..], &failures[..]);
            let version = &scanner.version;
            publisher.publish(&sarif, results, version, kept).await
        }
        None => Ok(false),
    };
    if publisher.is_none() && request.github.upload && ctx.env().on_runner() {
        ctx.log().notice(
            "the findings are not uploaded: there is no token, or this is not a workflow run",
        );
    }
    let is_uploaded = matches!(upload, Ok(true));
    if !is_uploaded {
        publish::annotate(ctx, outcomes);
    }
    // Written even if publishing failed.
    let facts = report::Facts {
        database,
        filter: request.filter.clone(),
        security_tab: is_uploaded.then(|| publish::security_tab(ctx)),
        remarks,
    };
    ctx.summary(report::summary(outcomes, &facts));
    ctx.summary(exploitation.section(outcomes));
    ctx.summary(report::vex_section(&vex));
    if let Some(imported) = &imported {
        // Those of Trivy may have been too large.
        upload_imported(ctx, publisher.as_ref(), imported).await?;
    }
    upload.map(drop)
}

// Upload the analyses of other scanners, and report them.
async fn upload_imported(
    ctx: &Context,
    publisher: Option<&Publisher<'_>>,
    imported: &Imported,
) -> anyhow::Result<()> {
    report::log_imported(ctx, imported);
    // Written even if publishing fails.
    ctx.summary(report::imported_section(imported));
    match publisher {
        Some(publisher) => {
            if publisher.upload_imported(imported).await? {
                let tab = publish::security_tab(ctx);
                ctx.summary(format!("\n[Security tab]({tab})\n"));
            }
        }
        None => ctx.log().notice(
            "the files of `sarif` are not uploaded: there is no token, or this is not a workflow run",
        ),
    }
    Ok(())
}
