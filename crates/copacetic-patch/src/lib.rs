//! The `copacetic-patch` action: a patch that is proven before it is promoted.
//!
//! 1. [`before`]: a report of this very image, given or made;
//! 2. [`plan`]: the packages that are installed and have an update;
//! 3. [`stage`]: Copa patches them into an image under a name that nobody uses;
//! 4. [`proof`]: it runs as before, has nothing new, and a second scan has fewer findings;
//! 5. only then it gets its tag, and [`report`] says what was mended, what remains, and why.

mod action;
mod before;
mod buildkit;
mod copa;
mod difference;
mod job;
mod plan;
mod proof;
mod report;
mod request;
mod stage;
mod vex;

use actions_toolkit::{BadInput, Context, Done, text::plural};
use container::Engine;

pub use action::ACTION;
use before::Before;
use job::Job;
use plan::Plan;
use proof::Proof;
use request::Request;
use stage::Staged;

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
    let job = Job::new(ctx, request, engine, image)?;
    let outcome = tokio::select! {
        outcome = patch(&job) => outcome,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    job.clean_up().await;
    outcome
}

async fn patch(job: &Job<'_>) -> anyhow::Result<Done> {
    let before = Before::of(job).await?;
    let plan = Plan::of(before.report(), &job.image)?;
    if plan.is_empty() {
        return report::up_to_date(job, &before);
    }
    let packages: Vec<_> = plan.packages().collect();
    job.ctx.log().info(format!(
        "{} can be updated: {}",
        plural(packages.len(), "package"),
        packages.join(", ")
    ));
    // Without a second scan there would be no verdict: this is known before anything is patched.
    job.database().await?;
    let staged = Staged::make(job, &plan).await?;
    let proof = Proof::of(job, before, &plan, &staged).await?;
    job.engine.tag(&job.staging, &job.request.patched).await?;
    report::patched(job, &staged, &proof)
}
