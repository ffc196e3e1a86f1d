//! The ci action: build an image, test it, read its code, and prove that it serves.
//!
//! The tests run in the image's own test stage, and so do the linters; the smoke test asks the built image, under the
//! limits that production sets; the packages of the lock file are looked up. All that goes on side by side. What is
//! not shown to work ends red: no report, no test and no answer are no success.

mod action;
mod analysis;
mod build;
mod coverage;
mod dependencies;
mod job;
mod junit;
mod keep;
mod place;
mod proof;
mod publish;
mod report;
mod request;
mod route;
mod scanner;
mod smoke;
mod suite;
mod verdict;

pub use action::ACTION;

use actions_toolkit::{Buffered, Context, Done};
use docker::Docker;
use oci::ImageRef;

use crate::build::build;
use crate::job::Job;
use crate::proof::Proof;
use crate::request::Request;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; a `PolicyFailure` when a check says no; any other error when there is no
/// verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::read(ctx)?;
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let names = Names::of(&run)?;

    let mut proof = Proof::default();
    let verdicts = tokio::select! {
        verdicts = prove(ctx, &docker, &request, (&names, &run), &mut proof) => verdicts,
        stop = ctx.cancelled() => vec![Err(stop.into())],
    };
    docker.remove_run(&run).await;
    let mut verdicts = verdicts;
    if verdicts.iter().all(Result::is_ok) {
        let tagged = docker.tag(&names.image, &request.image).await;
        proof.image.named = tagged.is_ok();
        verdicts.push(tagged);
    }
    for name in [&names.tested, &names.image] {
        verdicts.push(docker.untag(name).await);
    }
    verdicts.push(publish::files(ctx, &request, &proof));
    let (verdict, others) = verdict::sum(verdicts);
    report::write(ctx, &request, &proof, verdict.as_ref().err(), &others);
    let told = publish::publish(ctx, &request, &proof, verdict.is_ok()).await;
    verdict?;
    told?;
    ctx.log().info(report::last_line(&request));
    Ok(Done("passed"))
}

// The names of images while they are not proven; they go with the run.
struct Names {
    tested: ImageRef,
    image: ImageRef,
}

impl Names {
    fn of(run: &str) -> anyhow::Result<Self> {
        Ok(Self {
            tested: format!("seaworthy-ci-test:{run}").parse()?,
            image: format!("seaworthy-ci-image:{run}").parse()?,
        })
    }
}

// The parts that need nothing of each other go on side by side; one that fails does not end the others, so that the
// reader is told of everything at once.
async fn prove(
    ctx: &Context,
    docker: &Docker,
    request: &Request,
    (names, run): (&Names, &str),
    proof: &mut Proof,
) -> Vec<anyhow::Result<()>> {
    let held: [Buffered; 4] = std::array::from_fn(|_| ctx.log().buffered());
    let job = |part: usize| Job {
        ctx,
        log: held[part].log(),
        docker,
        request,
        run,
    };
    let Proof {
        suite,
        analysis,
        image,
        dependencies,
    } = proof;
    let code = async {
        let Some(tests) = &request.tests else {
            return [Ok(()), Ok(())];
        };
        let target = (Some(tests.target.as_str()), &names.tested);
        let stage = match build(&job(0), target, &mut suite.built).await {
            Ok(stage) => stage,
            Err(e) => return [Err(e), Ok(())],
        };
        let (testing, linting) = (job(0), job(1));
        let tested = suite::run(&testing, tests, &stage, suite);
        let linted = async {
            match &request.linting {
                Some(wanted) => {
                    let found = analysis.insert(analysis::Analysis::default());
                    analysis::run(&linting, wanted, &stage, found).await
                }
                None => Ok(()),
            }
        };
        tokio::join!(tested, linted).into()
    };
    let product = async {
        let job = job(2);
        let target = (request.target.as_deref(), &names.image);
        let built = build(&job, target, &mut image.built).await?;
        image.layers = docker.layers(&built.id).await?;
        image.image = Some(built.clone());
        match &request.smoke {
            Some(smoke) => smoke::test(&job, smoke, &built, image).await,
            None => Ok(()),
        }
    };
    let packages = async {
        match &request.dependencies {
            Some(wanted) => dependencies::scan(&job(3), wanted, dependencies).await,
            None => Ok(()),
        }
    };
    let ([tested, linted], served, known) = tokio::join!(code, product, packages);
    vec![tested, linted, served, known]
}
