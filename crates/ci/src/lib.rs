//! The `ci` action: build an image, run its tests and linters, and verify that it is healthy.
//!
//! 1. `request`: the inputs, checked before anything starts.
//! 2. `checks`, in parallel: `build` the test stage, and there run the tests (`test_run`) and the linters (`analysis`); `build` the
//!    image and smoke-test it (`smoke`) with the restrictions of production; scan the lock file (`dependencies`).
//! 3. `verdict`: one of all checks. A check without a result is an error, never a success.
//! 4. `push`: the names of the image when every check has passed, in Docker and in registries (`logins`).
//! 5. `report` and `publish`: outputs, annotations, the summary; files, the Security tab, the comment.

mod action;
mod analysis;
mod architecture;
mod build;
mod checks;
mod dependencies;
#[cfg(fuzzing)]
pub mod fuzz;
mod job;
mod logins;
mod network;
mod outcome;
mod publish;
mod push;
mod report;
mod request;
mod services;
mod smoke;
mod source_map;
mod test_run;
mod verdict;

pub use action::ACTION;
pub use network::NETWORK;

use actions_toolkit::{Context, Done};
use docker::Docker;

use crate::checks::Run;
use crate::outcome::Outcome;
use crate::request::Request;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; a `PolicyFailure` when a check fails; any other error when there is no
/// verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::read(ctx).await?;
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    let docker = docker.with_lifetime(request.lifetime());
    let overdue = docker.remove_overdue();
    let run = Run::new(&docker)?;
    let logins = tokio::select! {
        logins = logins::sign_in(ctx, &request.registries) => logins?,
        stop = ctx.cancelled() => return Err(stop.into()),
    };

    let mut outcome = Outcome::default();
    let mut verdicts = tokio::select! {
        verdicts = checks::run(ctx, &docker, &request, (&run, &logins), &mut outcome) => verdicts,
        stop = ctx.cancelled() => vec![Err(stop.into())],
    };
    docker.remove_run(&run.id).await;
    if let Some(removed) = overdue.finish(ctx.cancelled()).await {
        ctx.log().info(removed);
    }
    if verdicts.iter().all(Result::is_ok) {
        let image = (&run.image, &logins);
        verdicts.push(tokio::select! {
            done = push::publish(ctx, &docker, &request, image, &mut outcome.image) => done,
            stop = ctx.cancelled() => Err(stop.into()),
        });
    }
    for name in [&run.test_image, &run.image] {
        verdicts.push(docker.untag(name).await);
    }
    verdicts.push(publish::files(ctx, &request, &outcome));
    publish::look_up_changes(ctx, &request, &mut outcome).await;
    let (verdict, others) = verdict::combine(verdicts);
    report::write(ctx, &request, &outcome, verdict.as_ref().err(), &others);
    let published = publish::publish(ctx, &request, &outcome, verdict.is_ok()).await;
    verdict?;
    published?;
    ctx.log().info(report::last_line(&request));
    Ok(Done("passed"))
}
