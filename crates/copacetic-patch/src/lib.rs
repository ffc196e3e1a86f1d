//! The `copacetic-patch` action: a patch that is verified before it is promoted.
//!
//! 1. [`targets`]: the images, in Docker or in a registry, a report of each, and what an earlier run made of it;
//! 2. [`patch`]: the installed packages that have an update, and the image that Copa makes, without a tag yet;
//! 3. [`verify`]: it runs as before, has nothing new and fewer findings, and a container of it works;
//! 4. [`publish`]: only then its tags, the OpenVEX document, the Security tab and the issue;
//! 5. [`report`]: what was fixed, what remains, and why.

mod action;
mod assessment;
mod attempt;
#[cfg(fuzzing)]
pub mod fuzz;
mod index_patch;
mod lineage;
mod network;
mod patch;
mod publish;
mod report;
mod request;
mod session;
mod targets;
mod verify;

use actions_toolkit::{Buffered, Context, Done, Log};
use anyhow::anyhow;
use docker::Docker;
use futures_util::stream::{self, StreamExt as _};

pub use action::ACTION;
use assessment::{Assessment, Verified};
use index_patch::IndexPatch;
pub use network::NETWORK;
use publish::{code_scanning, issue};
use report::{Failure, ImageReport, Outcomes, Subject};
use request::Request;
use session::Session;
use targets::{Found, ImagePatch};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when a patched image fails its verification; anything
/// else when there is no verdict. The tag of a patched image is set only if all of its steps succeeded.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::read(ctx)?;
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    let overdue = docker.remove_overdue();
    let session = Session::open(ctx, request, docker).await?;
    let outcome = tokio::select! {
        outcome = patch_all(&session) => outcome,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    session.clean_up().await;
    if let Some(removed) = overdue.finish(ctx.cancelled()).await {
        ctx.log().info(removed);
    }
    outcome.map_err(with_disk_hint)
}

async fn patch_all(session: &Session<'_>) -> anyhow::Result<Done> {
    let targets = targets::resolve(session).await?;
    let mut outcomes = Outcomes {
        done: Vec::new(),
        failed: targets.failed,
        skipped: targets.skipped,
    };
    let count = targets.patches.len();
    // The error of a single image is the step's.
    let is_only = count == 1 && outcomes.failed.is_empty();
    let numbered = targets.patches.into_iter().enumerate();
    let work = stream::iter(numbered).map(async |(index, (target, found))| {
        let number = (count > 1).then_some(index + 1);
        let subject = Subject::from(&target);
        let lines = Lines::of(session, &subject, number);
        let log = lines.log();
        let outcome = match found {
            Found::Image(found) => {
                let patch = ImagePatch::new(session, target, number, *found, None, log.clone());
                let outcome = Box::pin(patch_image(&patch)).await;
                patch.clean_up(outcome.is_ok()).await;
                outcome
            }
            Found::Index(found) => {
                let patch = IndexPatch::new(session, target, number, found, log.clone());
                Box::pin(patch.run()).await
            }
        };
        // The other images are patched all the same.
        if let (Err(error), false) = (&outcome, is_only) {
            log.error(format!("{subject}: {error:#}"));
        }
        (index, subject, outcome)
    });
    let concurrency = session.request.concurrency;
    let mut finished: Vec<_> = work.buffer_unordered(concurrency).collect().await;
    finished.sort_unstable_by_key(|(index, ..)| *index);
    for (_, subject, outcome) in finished {
        match outcome {
            Ok(image) => outcomes.done.push(image),
            Err(error) if is_only => return Err(error),
            Err(error) => outcomes.failed.push(Failure { subject, error }),
        }
    }
    report::write(session, &outcomes)?;
    issue::update(session, &outcomes).await;
    report::verdict(&outcomes)
}

/// The lines about one image: together, where several are patched at once.
enum Lines {
    AtOnce(Log),
    Together(Buffered),
}

impl Lines {
    fn of(session: &Session<'_>, image: &Subject, number: Option<usize>) -> Self {
        let log = session.ctx.log();
        if number.is_none() || session.request.concurrency == 1 {
            return Self::AtOnce(log.clone());
        }
        log.progress(format!("{image}: patching"));
        let lines = log.buffered();
        lines.log().info(format!("{image}:"));
        Self::Together(lines)
    }

    fn log(&self) -> Log {
        match self {
            Self::AtOnce(log) => log.clone(),
            Self::Together(lines) => lines.log().clone(),
        }
    }
}

async fn patch_image(patch: &ImagePatch<'_, '_>) -> anyhow::Result<ImageReport> {
    match Assessment::of(patch).await?.patched(patch).await? {
        Verified::Current(current) => {
            // The scan before this step was of the original: its findings are open in the Security tab again.
            code_scanning::upload(patch, &current.existing.scanned.report).await;
            report::still_current(patch, &current)
        }
        Verified::UpToDate(baseline) => {
            let followed = publish::follow_original(patch).await?;
            report::up_to_date(patch, &baseline, followed.as_ref())
        }
        Verified::Patched(mut attempt) => {
            let promoted = attempt.promote(patch).await?;
            code_scanning::upload(patch, &attempt.verification.after.report).await;
            report::patched(patch, &attempt, &promoted)
        }
    }
}

// A full disk surfaces in many places, none of which knows what to do about it.
fn with_disk_hint(error: anyhow::Error) -> anyhow::Error {
    let message = format!("{error:#}");
    if message.to_lowercase().contains("no space left on device") {
        return anyhow!("{message}; free space on the runner (`docker system prune`)");
    }
    error
}
