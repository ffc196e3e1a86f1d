//! The `ci` action: build an image, run its tests and linters, and verify that it is healthy.
//!
//! 1. `request`: the inputs, checked before anything starts.
//! 2. `builder`, where Docker's own BuildKit is not enough: one of the run.
//! 3. `checks`, in parallel: `build` the test stage, and there run the tests (`test_run`) and the linters (`analysis`); `build` the
//!    image and smoke-test it (`smoke`) with the restrictions of production; scan the lock file (`dependencies`).
//! 4. `verdict`: one of all checks. A check without a result is an error, never a success.
//! 5. `push`: the names of the image when every check has passed, in Docker and in registries (`logins`).
//! 6. `report` and `publish`: outputs, annotations, the summary; files, the record of what was pushed, the Security tab, the
//!    comment.

mod action;
mod analysis;
mod architecture;
mod build;
mod builder;
mod checks;
mod coverage_baseline;
mod dependencies;
#[cfg(fuzzing)]
pub mod fuzz;
mod job;
mod network;
mod outcome;
mod publish;
mod push;
mod report;
mod request;
mod services;
mod smoke;
mod source_map;
mod test_image;
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
    let docker = tokio::select! {
        docker = Docker::connect(ctx.env().get("DOCKER_HOST")) => docker?,
        stop = ctx.cancelled() => return Err(stop.into()),
    };
    let docker = docker.with_lifetime(request.lifetime());
    let overdue = docker.remove_overdue();
    let run = Run::new(&docker, &request)?;
    let logins = tokio::select! {
        logins = request.registries.sign_in(ctx) => logins?,
        stop = ctx.cancelled() => return Err(stop.into()),
    };

    let mut outcome = Outcome::default();
    let builder = tokio::select! {
        builder = builder::start(ctx, &docker, &request, (&run.id, &logins)) => builder,
        stop = ctx.cancelled() => Err(stop.into()),
    };
    let (builder, mut verdicts) = match builder {
        Ok(builder) => (builder, Vec::new()),
        Err(e) => (None, vec![Err(e)]),
    };
    let builder = builder.as_ref();
    if verdicts.is_empty() {
        let names = (&run, &logins);
        verdicts = tokio::select! {
            verdicts = checks::run(ctx, &docker, &request, names, builder, &mut outcome) => verdicts,
            stop = ctx.cancelled() => vec![Err(stop.into())],
        };
    }
    if verdicts.iter().all(Result::is_ok)
        && let Some(builder) = builder
    {
        let target = request.build.target.as_deref();
        let image = build::build_request(&request.build, (target, &run.image));
        verdicts.push(tokio::select! {
            written = builder.write_outputs(ctx.log(), &image) => written,
            stop = ctx.cancelled() => Err(stop.into()),
        });
    }
    docker.remove_run(&run.id).await;
    if let Some(removed) = overdue.finish(ctx.cancelled()).await {
        ctx.log().info(removed);
    }
    if verdicts.iter().all(Result::is_ok) {
        let image = (&run.image, &logins);
        verdicts.push(tokio::select! {
            done = push::publish(ctx, &docker, &request, image, builder, &mut outcome.image) => done,
            stop = ctx.cancelled() => Err(stop.into()),
        });
    }
    let mut names = vec![run.test_image, run.image];
    names.extend(run.services.into_iter().map(|(_, image)| image));
    names.extend(builder.iter().flat_map(|builder| builder.names()));
    for name in &names {
        verdicts.push(docker.untag(name).await);
    }
    verdicts.push(publish::files(ctx, &request, &outcome));
    let passed = verdicts.iter().all(Result::is_ok);
    // What is left of the time after a cancellation is for the report.
    tokio::select! {
        () = look_up(ctx, &request, &mut outcome, passed) => {}
        _ = ctx.cancelled() => {}
    }
    let (verdict, others) = verdict::combine(verdicts);
    report::write(ctx, &request, &outcome, verdict.as_ref().err(), &others);
    // What was pushed is in its registry, whatever the verdict.
    tokio::select! {
        () = publish::record(ctx, &request, &outcome) => {}
        _ = ctx.cancelled() => {}
    }
    let published = publish::publish(ctx, &request, &outcome, verdict.is_ok()).await;
    verdict?;
    published?;
    ctx.log().info(report::last_line(&request));
    Ok(Done("passed"))
}

// What GitHub knows for the report.
async fn look_up(ctx: &Context, request: &Request, outcome: &mut Outcome, passed: bool) {
    publish::look_up_changes(ctx, request, outcome).await;
    coverage_baseline::look_up_or_keep(ctx, request, outcome, passed).await;
}
