//! The checks of a run, in parallel where they do not depend on each other.

use actions_toolkit::{Buffered, Context};
use docker::Docker;
use oci::{ImageRef, Logins};

use crate::build::build;
use crate::job::Job;
use crate::outcome::{ImageOutcome, Outcome, TestOutcome};
use crate::request::{Request, TestImage};
use crate::{analysis, architecture, dependencies, smoke, test_run};

/// The id of a run, and the names of its images until every check has passed; the names are removed with the run.
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) test_image: ImageRef,
    pub(crate) image: ImageRef,
}

impl Run {
    pub(crate) fn new(docker: &Docker) -> anyhow::Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let tag = docker.temporary_tag(&id);
        Ok(Self {
            test_image: format!("seaworthy-ci-test:{tag}").parse()?,
            image: format!("seaworthy-ci-image:{tag}").parse()?,
            id,
        })
    }
}

/// Run every check, and add the results to `outcome`. A failed check does not stop the others, so that one run reports
/// everything.
pub(crate) async fn run(
    ctx: &Context,
    docker: &Docker,
    request: &Request,
    (run, logins): (&Run, &Logins),
    outcome: &mut Outcome,
) -> Vec<anyhow::Result<()>> {
    // The lines of each check stay together in the log.
    let logs: [Buffered; 4] = std::array::from_fn(|_| ctx.log().buffered());
    let job = |check: usize| Job {
        ctx,
        log: logs[check].log(),
        docker,
        request,
        logins,
        run: &run.id,
    };
    let Outcome {
        tests,
        analysis,
        image,
        dependencies,
    } = outcome;
    let code = check_code([job(0), job(1)], &run.test_image, tests, analysis);
    let image = check_image(job(2), &run.image, image);
    let packages = check_packages(job(3), dependencies);
    let ([tests, analysis], image, packages) = tokio::join!(code, image, packages);
    vec![tests, analysis, image, packages]
}

async fn check_code(
    [testing, linting]: [Job<'_>; 2],
    name: &ImageRef,
    outcome: &mut TestOutcome,
    analysis: &mut Option<analysis::Analysis>,
) -> [anyhow::Result<()>; 2] {
    let Some(tests) = &testing.request.tests else {
        return [Ok(()), Ok(())];
    };
    let target = match &tests.target {
        TestImage::Stage(stage) => Some(stage.as_str()),
        TestImage::Image => testing.request.build.target.as_deref(),
    };
    let stage = match build(&testing, (target, name), &mut outcome.build).await {
        Ok(stage) => stage,
        Err(e) => return [Err(e), Ok(())],
    };
    let tested = test_run::run(&testing, tests, &stage, outcome);
    let linted = async {
        match &linting.request.linting {
            Some(request) => {
                let analysis = analysis.insert(analysis::Analysis::default());
                analysis::run(&linting, request, &stage, analysis).await
            }
            None => Ok(()),
        }
    };
    tokio::join!(tested, linted).into()
}

async fn check_image(
    job: Job<'_>,
    name: &ImageRef,
    outcome: &mut ImageOutcome,
) -> anyhow::Result<()> {
    let target = job.request.build.target.as_deref();
    let pinned = architecture::pinned_platforms(&job, &job.request.build.pinned);
    let build = build(&job, (target, name), &mut outcome.build);
    let (pinned, image) = tokio::join!(pinned, build);
    outcome.build.warnings.extend(pinned);
    let image = image?;
    outcome.layers = job.docker.layers(&image.id).await?;
    outcome.image = Some(image.clone());
    let smoke = async {
        match &job.request.smoke {
            Some(smoke) => smoke::test(&job, smoke, &image, outcome).await,
            None => Ok(()),
        }
    };
    let (architecture, smoke) = tokio::join!(architecture::check(&job, &image), smoke);
    // A program for another architecture fails the smoke test, too, or is emulated there.
    architecture.and(smoke)
}

async fn check_packages(
    job: Job<'_>,
    dependencies: &mut Option<dependencies::Dependencies>,
) -> anyhow::Result<()> {
    match &job.request.dependencies {
        Some(request) => dependencies::scan(&job, request, dependencies).await,
        None => Ok(()),
    }
}
