//! The `copacetic-patch` action: a patch that is verified before it is promoted.
//!
//! 1. [`targets`]: the images, in Docker or in a registry, a report of each, and what an earlier run made of it;
//! 2. [`patch`]: the installed packages that have an update, and the image that Copa makes, without a tag yet;
//! 3. [`verify`]: it runs as before, has nothing new and fewer findings, and a container of it works;
//! 4. [`publish`]: only then its tags, the OpenVEX document, the Security tab, the record of the image and the issue;
//! 5. [`report`]: what was fixed, what remains, and why.

mod action;
mod assessment;
mod attempt;
mod dry_run;
#[cfg(fuzzing)]
pub mod fuzz;
mod index_patch;
mod lineage;
mod network;
mod part;
mod patch;
mod publish;
mod report;
mod request;
mod session;
mod targets;
mod verify;

use std::collections::BTreeMap;

use actions_toolkit::{Buffered, Context, Done, Log};
use anyhow::anyhow;
use docker::Docker;
use fleet::Part;
use futures_util::stream::{self, StreamExt as _};

pub use action::ACTION;
use assessment::{Assessment, Verified};
use index_patch::IndexPatch;
pub use network::NETWORK;
use oci::ImageRef;
use patch::Unsupported;
use publish::{code_scanning, issue, storage_record};
use report::{Failure, ImageReport, Outcomes, Skipped, Subject};
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
    if let Some(fleet) = request
        .fleet
        .as_ref()
        .filter(|fleet| fleet.part == Part::Merge)
    {
        return part::merge(ctx, &request, fleet).await;
    }
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    let overdue = (!request.is_dry_run()).then(|| docker.remove_overdue());
    let session = Session::open(ctx, request, docker).await?;
    let outcome = Box::pin(patch_all(&session)).await;
    session.clean_up().await;
    if let Some(overdue) = overdue
        && let Some(removed) = overdue.finish(ctx.cancelled()).await
    {
        ctx.log().info(removed);
    }
    outcome.map_err(with_disk_hint)
}

// Until it is done or the run is stopped: what was done by then keeps its outcome.
async fn patch_all(session: &Session<'_>) -> anyhow::Result<Done> {
    let ctx = session.ctx;
    let resolved = tokio::select! {
        resolved = targets::resolve(session) => resolved,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    let mut targets = resolved.inspect_err(|error| part::failed(session, error))?;
    if let Some(lookup) = targets.lookup.take() {
        return part::plan(session, &targets, lookup);
    }
    if session.request.is_dry_run() {
        return Box::pin(dry_run::run(session, targets)).await;
    }
    let mut outcomes = Outcomes {
        done: Vec::new(),
        failed: targets.failed,
        skipped: targets.skipped,
    };
    let count = targets.patches.len();
    // The error of a single image is the step's.
    let is_only = count == 1 && outcomes.failed.is_empty();
    let subjects = targets.patches.iter();
    let subjects: Vec<_> = subjects.map(|(target, _)| Subject::from(target)).collect();
    let numbered = targets.patches.into_iter().enumerate();
    let work = stream::iter(numbered).map(async |(index, (target, found))| {
        let number = (count > 1).then_some(index + 1);
        let subject = Subject::from(&target);
        let listed = (!session.request.targets.contains(&target)).then(|| target.image.clone());
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
        if number.is_some() {
            session.trim_buildkit().await;
        }
        let skipped = listed.and_then(|image| unsupported(image, &outcome));
        // The other images are patched all the same.
        let error = outcome.as_ref().err().filter(|_| !is_only);
        log_end(&log, &subject, error, skipped.as_ref());
        (index, (outcome, skipped))
    });
    let mut finished = BTreeMap::new();
    // What is at work when the run is stopped ends here, with its tools, before the outcomes are written.
    let stopped = {
        let mut work = std::pin::pin!(work.buffer_unordered(session.request.concurrency));
        loop {
            tokio::select! {
                one = work.next() => match one {
                    Some((index, ended)) => finished.insert(index, ended),
                    None => break None,
                },
                cancelled = ctx.cancelled() => break Some(cancelled),
            };
        }
    };
    for (index, subject) in subjects.into_iter().enumerate() {
        let (outcome, skipped) = match (finished.remove(&index), stopped) {
            (Some(ended), _) => ended,
            (None, Some(cancelled)) => (Err(cancelled.into()), None),
            (None, None) => continue,
        };
        match (outcome, skipped) {
            (_, Some(skipped)) => outcomes.skipped.push(skipped),
            (Ok(image), None) => outcomes.done.push(image),
            (Err(error), None) if is_only => {
                part::failed(session, &error);
                return Err(error);
            }
            (Err(error), None) => outcomes.failed.push(Failure { subject, error }),
        }
    }
    report::write(session, &outcomes)?;
    part::done(session, &outcomes)?;
    if let Some(cancelled) = stopped {
        return Err(cancelled.into());
    }
    tokio::select! {
        () = publish_outcomes(session, &outcomes) => report::verdict(&outcomes),
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    }
}

// What GitHub gets of all images together. Of a stopped run it gets nothing: there is no time.
async fn publish_outcomes(session: &Session<'_>, outcomes: &Outcomes) {
    storage_record::write(session, &outcomes.done).await;
    issue::update(session, outcomes).await;
}

// A registry's image that no patch can be made of is skipped. One that is named fails.
fn unsupported<T>(image: ImageRef, outcome: &anyhow::Result<T>) -> Option<Skipped> {
    let reason = outcome.as_ref().err()?.downcast_ref::<Unsupported>()?;
    Some(Skipped {
        image,
        reason: format!("can't be patched: {reason}"),
        is_lasting: true,
    })
}

// Why an image was left out, or its `error` unless that is the step's.
fn log_end(log: &Log, subject: &Subject, error: Option<&anyhow::Error>, skipped: Option<&Skipped>) {
    match (error, skipped) {
        (_, Some(skipped)) => log.info(format!("skipped: {} {}", skipped.image, skipped.reason)),
        (Some(error), None) => log.error(format!("{subject}: {error:#}")),
        (None, None) => {}
    }
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
        let doing = if session.request.is_dry_run() {
            "assessing"
        } else {
            "patching"
        };
        log.progress(format!("{image}: {doing}"));
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
    let assessment = Assessment::of(patch).await?;
    if let (Assessment::Fixable(_), Some(platform)) = (&assessment, patch.foreign_platform()) {
        patch.session.check_emulation(platform).await?;
    }
    match assessment.patched(patch).await? {
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
