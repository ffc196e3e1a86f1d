//! The ci action: build an image, run its tests, and prove that it serves.
//!
//! The tests run in the image's own test stage; the smoke test asks the built image, under the
//! limits that production sets. What is not shown to work ends red: no report, no test and no answer
//! are no success.

mod action;
mod build;
mod junit;
mod keep;
mod limit;
mod place;
mod proof;
mod report;
mod request;
mod route;
mod smoke;
mod suite;

pub use action::ACTION;

use actions_toolkit::{Context, Done};
use container::{Engine, ImageRef};

use crate::build::build;
use crate::proof::Proof;
use crate::request::Request;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; a `PolicyFailure` when the build, the tests or the smoke
/// test fail; any other error when there is no verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::read(ctx)?;
    let engine = Engine::connect(ctx.env().get("DOCKER_HOST")).await?;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let tested: ImageRef = format!("drydock-ci-test:{run}").parse()?;

    let mut proof = Proof::default();
    let verdict = tokio::select! {
        verdict = prove(ctx, &engine, &request, (&tested, &run), &mut proof) => verdict,
        stop = ctx.cancelled() => Err(stop.into()),
    };
    engine.remove_run(&run).await;
    let untagged = engine.untag(&tested).await;
    let kept = keep::junit(ctx, &request, &proof);
    report::write(ctx, &request, &proof);
    verdict?;
    untagged?;
    kept?;
    ctx.log().info(report::last_line(&request));
    Ok(Done("passed"))
}

async fn prove(
    ctx: &Context,
    engine: &Engine,
    request: &Request,
    (tested, run): (&ImageRef, &str),
    proof: &mut Proof,
) -> anyhow::Result<()> {
    if let Some(tests) = &request.tests {
        let image = build(ctx, engine, request, (Some(&tests.target), tested), proof).await?;
        suite::run(ctx, engine, request, tests, (&image, run), proof).await?;
    }
    let target = request.target.as_deref();
    let image = build(ctx, engine, request, (target, &request.image), proof).await?;
    proof.image = Some(image.clone());
    if let Some(smoke) = &request.smoke {
        smoke::test(ctx, engine, smoke, (&image, run), proof).await?;
    }
    Ok(())
}
