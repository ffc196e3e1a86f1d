//! The `copacetic-patch` action: a patch that is proven before it is promoted.

mod action;
mod buildkit;
mod copa;
mod plan;
mod report;
mod request;
mod verify;

use std::path::Path;

use actions_toolkit::{BadInput, Context, Done, PolicyFailure, text::plural};
use anyhow::{Context as _, anyhow};
use container::{Engine, EngineRegistry, ImageInfo, ImageRef};
use trivy::{Database, DatabaseRequest, Report, Scan, Scanned, Scanner, Target};

pub use action::ACTION;
use buildkit::BuildKit;
use copa::Run;
use plan::Plan;
use request::Request;
use verify::Difference;

/// The tag of the image while it has not been proven.
const STAGING: &str = "drydock-staging";

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the patched image does not hold; anything
/// else when there is no verdict. The patched tag is set only when all went well.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let engine = Engine::connect(ctx.env().get("DOCKER_HOST")).await?;
    let Some(image) = engine.inspect(&request.image).await? else {
        return Err(BadInput::of(
            "image",
            format!(
                "the engine has no image `{}`; build or pull it in an earlier step",
                request.image
            ),
        )
        .into());
    };
    if let Some(tooling) = &request.tooling
        && engine.inspect(tooling).await?.is_none()
    {
        return Err(BadInput::of(
            "tooling-image",
            format!("the engine has no image `{tooling}`; pull it in an earlier step"),
        )
        .into());
    }
    let before = first_report(ctx, &request, &image).await?;
    let plan = Plan::of(&before.report, &image)?;
    if plan.is_empty() {
        return up_to_date(ctx, &request, &image, &before);
    }
    let packages: Vec<_> = plan.packages().collect();
    ctx.log().info(format!(
        "{} can be updated: {}",
        plural(packages.len(), "package"),
        packages.join(", ")
    ));

    let run = uuid::Uuid::new_v4().to_string();
    let outcome = tokio::select! {
        outcome = patch(ctx, &request, &engine, &image, &before, &plan, &run) => outcome,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    // Whatever became of it: no container and no half-proven name is left.
    engine.remove_run(&run).await;
    engine.untag(&staging(&request)?).await?;
    outcome
}

fn staging(request: &Request) -> anyhow::Result<ImageRef> {
    Ok(request.image.with_tag(STAGING)?)
}

// The given report, if it is one of this image; else a scan.
async fn first_report(
    ctx: &Context,
    request: &Request,
    image: &ImageInfo,
) -> anyhow::Result<Scanned> {
    let Some(path) = &request.report else {
        Database::provide(&request.database, ctx.env(), ctx.log()).await?;
        return scan(ctx, request, &request.image).await;
    };
    let raw = std::fs::read(path).with_context(|| format!("while reading `{}`", path.display()))?;
    let scanned = Scanned::read(raw)
        .map_err(|e| BadInput::of("report", format!("`{}`: {e}", request.relative(path))))?;
    plan::bind(&scanned.report, image)?;
    Ok(scanned)
}

async fn scan(ctx: &Context, request: &Request, image: &ImageRef) -> anyhow::Result<Scanned> {
    let mut scan = Scan::new(Target::Image(image.to_string()), &request.database.cache);
    scan.scanners = vec![Scanner::Vulnerabilities];
    scan.folder.clone_from(&request.workspace);
    Ok(scan.run(ctx.env(), ctx.log()).await?)
}

fn up_to_date(
    ctx: &Context,
    request: &Request,
    image: &ImageInfo,
    before: &Scanned,
) -> anyhow::Result<Done> {
    let remaining = count(&before.report);
    ctx.log().info(format!(
        "{} is up to date: no package has an update that mends something",
        request.image
    ));
    std::fs::write(&request.report_file, &before.raw).context("while writing the report")?;
    ctx.output("image", &request.image);
    ctx.output("digest", &image.id);
    ctx.output("fixed-count", 0);
    ctx.output("remaining-count", remaining);
    ctx.output("report-file", request.relative(&request.report_file));
    ctx.summary(report::nothing_to_mend(&request.image, remaining));
    Ok(Done("up-to-date"))
}

fn count(report: &Report) -> usize {
    report
        .results
        .iter()
        .map(|result| result.vulnerabilities.len())
        .sum()
}

async fn patch(
    ctx: &Context,
    request: &Request,
    engine: &Engine,
    image: &ImageInfo,
    before: &Scanned,
    plan: &Plan,
    run: &str,
) -> anyhow::Result<Done> {
    let folder = tempfile::Builder::new()
        .prefix("drydock-patch-")
        .tempdir_in(ctx.temp_dir())
        .context("while making a folder for Copa")?;
    let mut served = vec![request.image.clone()];
    served.extend(request.tooling.clone());
    let registry = EngineRegistry::serve(engine, &served, folder.path()).await?;
    let (own, address) = match &request.buildkit {
        request::BuildKit::At(address) => (None, address.clone()),
        request::BuildKit::Own(image) => {
            let own = BuildKit::start(engine, image, folder.path(), run).await?;
            let address = own.address();
            (Some(own), address)
        }
    };
    let source = registry.reference_for(&request.image)?;
    let tooling = request
        .tooling
        .as_ref()
        .map(|tooling| registry.reference_for(tooling))
        .transpose()?;
    let copa = Run {
        image: &source,
        tag: STAGING,
        address: &address,
        tooling: tooling.as_ref(),
        limit: request.limit,
    };
    let made = updated(ctx, &copa, plan, folder.path()).await;
    if let Some(own) = own {
        own.remove().await;
    }
    let left_out = made?;

    let loaded = source.with_tag(STAGING)?;
    if engine.inspect(&loaded).await?.is_none() {
        return Err(anyhow!(
            "Copa ended well, but made no image; its words are in the log"
        ));
    }
    let staging = staging(request)?;
    engine.tag(&loaded, &staging).await?;
    engine.untag(&loaded).await?;
    prove(ctx, request, engine, image, before, plan, &left_out).await
}

// Run Copa; once more without the package that could not be had, if it names one.
async fn updated(
    ctx: &Context,
    copa: &Run<'_>,
    plan: &Plan,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let Err(first) = copa.patch(ctx, plan, folder).await? else {
        return Ok(Vec::new());
    };
    let without = first
        .package
        .as_ref()
        .and_then(|package| Some((package, plan.without(package)?)));
    let Some((package, rest)) = without else {
        return Err(anyhow!(first.reason).context("Copa could not patch the image"));
    };
    ctx.log().warning(format!(
        "`{package}` can't be updated ({}); patching the rest",
        first.reason
    ));
    match copa.patch(ctx, &rest, folder).await? {
        Ok(()) => Ok(vec![package.clone()]),
        Err(second) => Err(anyhow!(second.reason)
            .context("Copa could not patch the image, also without the package that can't be had")),
    }
}

// The image is promoted only if it runs as before, has nothing new, and fewer findings.
async fn prove(
    ctx: &Context,
    request: &Request,
    engine: &Engine,
    image: &ImageInfo,
    before: &Scanned,
    plan: &Plan,
    left_out: &[String],
) -> anyhow::Result<Done> {
    let staging = staging(request)?;
    let patched = engine
        .inspect(&staging)
        .await?
        .with_context(|| format!("`{staging}` is gone from the engine"))?;
    if let Some(changed) = verify::changed_configuration(image, &patched) {
        return Err(PolicyFailure(format!(
            "the patched image would run in another way ({changed} changed); `{}` is untouched",
            request.patched
        ))
        .into());
    }
    // The same database as before: what is gone was mended, not forgotten.
    let cached = DatabaseRequest {
        offline: true,
        ..request.database.clone()
    };
    if Database::provide(&cached, ctx.env(), ctx.log())
        .await
        .is_err()
    {
        Database::provide(&request.database, ctx.env(), ctx.log()).await?;
    }
    let after = scan(ctx, request, &staging).await?;
    let difference = Difference::of(&before.report, &after.report, plan);
    if let Some(objection) = difference.objection() {
        return Err(
            PolicyFailure(format!("{objection}; `{}` is untouched", request.patched)).into(),
        );
    }
    engine.tag(&staging, &request.patched).await?;
    let result = if left_out.is_empty() && difference.unmended() == 0 {
        "patched"
    } else {
        "partial"
    };
    for updated in &difference.updated {
        ctx.log().info(format!(
            "{} {} → {}",
            updated.package, updated.from, updated.to
        ));
    }
    ctx.log().info(format!(
        "{}: {} mended, {} remain",
        request.patched,
        plural(difference.fixed.len(), "finding"),
        difference.remaining.len()
    ));
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let vex = report::vex(&request.patched, &patched.id, &difference, &now);
    std::fs::write(&request.vex_file, serde_json::to_vec_pretty(&vex)?)
        .context("while writing the OpenVEX document")?;
    std::fs::write(&request.report_file, &after.raw).context("while writing the report")?;
    ctx.output("image", &request.patched);
    ctx.output("digest", &patched.id);
    ctx.output("patched-tag", request.patched.tag().unwrap_or_default());
    ctx.output("fixed-count", difference.fixed.len());
    ctx.output("remaining-count", difference.remaining.len());
    ctx.output("vex-file", request.relative(&request.vex_file));
    ctx.output("report-file", request.relative(&request.report_file));
    ctx.summary(report::markdown(
        &request.image,
        &request.patched,
        result,
        &difference,
    ));
    Ok(Done(result))
}
