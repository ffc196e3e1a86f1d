//! The `copacetic-patch` action: a patch that is proven before it is promoted.
//!
//! 1. [`job`]: an image, in Docker or in a registry, and what an earlier run made of it;
//! 2. [`before`]: a report of this very image, given or made;
//! 3. [`plan`]: the packages that are installed and have an update;
//! 4. [`stage`]: Copa patches them into an image that nobody can see yet;
//! 5. [`proof`]: it runs as before, has nothing new, and a second scan has fewer findings;
//! 6. [`smoke`]: a container of it works, which is tried meanwhile;
//! 7. only then [`promote`] gives it its tags, and [`report`] says what was mended, what remains, and why.

mod action;
mod alerts;
mod before;
mod buildkit;
mod copa;
mod counts;
mod difference;
mod issue;
mod job;
mod orders;
mod pip;
mod plan;
mod promote;
mod proof;
mod python;
mod report;
mod request;
mod session;
mod smoke;
mod stage;
mod vex;

use actions_toolkit::{Context, Done, text::plural};
use anyhow::anyhow;
use docker::Docker;

pub use action::ACTION;
use before::Before;
use job::{Current, Job};
use plan::Plan;
use proof::Proof;
use report::Patched;
use request::{PackageTypes, Request};
use session::Session;
use stage::Staged;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when a patched image does not hold; anything
/// else when there is no verdict. The tag of a patched image is set only when all went well with it.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    let session = Session::open(ctx, request, docker).await?;
    let outcome = tokio::select! {
        outcome = all(&session) => outcome,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    session.clean_up().await;
    outcome.map_err(with_room)
}

// A full disk is met in many places, each of which says no more than that.
fn with_room(error: anyhow::Error) -> anyhow::Error {
    let said = format!("{error:#}");
    if said.to_lowercase().contains("no space left on device") {
        return anyhow!("{said}; free space on the runner (`docker system prune`)");
    }
    error
}

async fn all(session: &Session<'_>) -> anyhow::Result<Done> {
    let orders = orders::of(session).await?;
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (index, order) in orders.iter().enumerate() {
        let several = (orders.len() > 1).then_some(index);
        let patched =
            async { patch(&Job::find(session, order.clone(), index).await?, several).await };
        match patched.await {
            Ok(image) => done.push(image),
            // One image stands for itself: its error is the step's.
            Err(error) if orders.len() == 1 => return Err(error),
            // The others of a registry are patched all the same.
            Err(error) => {
                session
                    .ctx
                    .log()
                    .error(format!("{}: {error:#}", order.image));
                failed.push((order.clone(), error));
            }
        }
    }
    report::write(session, &done, &failed);
    issue::roll(session, &done, &failed).await;
    report::verdict(&done, &failed)
}

async fn patch(job: &Job<'_, '_>, several: Option<usize>) -> anyhow::Result<Patched> {
    let session = job.session;
    let log = session.ctx.log();
    let libraries = session.request.package_types == PackageTypes::OsAndLibrary;
    let current = job.current().await?;
    if let Some(current) = &current
        && Plan::of(&current.scanned.report, &job.image, libraries)?.is_empty()
    {
        let before = Before::given(job)?;
        return still_current(job, current, before.as_ref(), several).await;
    }
    let before = Before::of(job).await?;
    let plan = Plan::of(before.report(), &job.image, libraries)?;
    if plan.is_empty() {
        return report::up_to_date(job, &before, several);
    }
    let packages: Vec<_> = plan.packages().collect();
    log.info(format!(
        "{} can be updated: {}",
        plural(packages.len(), "package"),
        packages.join(", ")
    ));
    let Attempt {
        staged,
        proof,
        trial,
    } = proven(job, before, &plan, several).await?;
    if let Some(current) = &current
        && difference::same_packages(&current.scanned.report, &proof.after.report)
    {
        return still_current(job, current, Some(&proof.before), several).await;
    }
    let promoted = promote::promote(job, &staged, &proof, trial).await?;
    alerts::bring_up_to_date(job, &proof.after.report).await;
    report::patched(job, &staged, &proof, &promoted, several)
}

// A patched image that holds.
struct Attempt {
    staged: Staged,
    proof: Proof,
    /// What became of a container of it.
    trial: anyhow::Result<()>,
}

// Without the packages of Python if it holds only so.
async fn proven(
    job: &Job<'_, '_>,
    before: Before,
    plan: &Plan,
    several: Option<usize>,
) -> anyhow::Result<Attempt> {
    let session = job.session;
    let Some(system) = plan.without_libraries() else {
        return attempt(job, before, plan, several.is_none()).await;
    };
    let refused = match attempt(job, before.clone(), plan, false).await {
        Ok(proven) => return Ok(proven),
        Err(refused) => refused,
    };
    let reason = format!("{refused:#}");
    let untouched = format!("; `{}` is untouched", job.order.patched);
    let reason = reason.strip_suffix(&untouched).unwrap_or(&reason);
    session.ctx.log().warning(format!(
        "the packages of Python are left as they are: {reason}"
    ));
    let mut attempt = attempt(job, before, &system, several.is_none()).await?;
    let left_out = plan.libraries().iter();
    let left_out = left_out.map(|library| (library.name.clone(), reason.to_owned()));
    attempt.staged.left_out.extend(left_out);
    attempt.proof.explain(plan, &attempt.staged.left_out);
    Ok(attempt)
}

async fn attempt(
    job: &Job<'_, '_>,
    before: Before,
    plan: &Plan,
    last: bool,
) -> anyhow::Result<Attempt> {
    let session = job.session;
    // Without a second scan there would be no verdict: a database that can't be had ends the patch at once.
    let (staged, ()) = tokio::try_join!(Box::pin(Staged::make(job, plan)), session.database())?;
    // To remove BuildKit with all that it cached takes a second: the proof need not wait for it.
    let release = async {
        if last {
            session.release_buildkit().await;
        }
        Ok(())
    };
    // Nor need a container of the image wait for the scan; what became of it counts only if the proof holds.
    let trial = Box::pin(async { Ok(promote::tried(job, &staged).await) });
    let proof = Box::pin(Proof::of(job, before, plan, &staged));
    let (proof, trial, ()) = tokio::try_join!(proof, trial, release)?;
    Ok(Attempt {
        staged,
        proof,
        trial,
    })
}

// The scan before this step was of the original: what it found is open in the Security tab again.
async fn still_current(
    job: &Job<'_, '_>,
    current: &Current,
    before: Option<&Before>,
    several: Option<usize>,
) -> anyhow::Result<Patched> {
    alerts::bring_up_to_date(job, &current.scanned.report).await;
    report::still_current(job, current, before, several)
}
