//! The checks of a run, in parallel where they do not depend on each other.

use actions_toolkit::{Buffered, Context, PolicyFailure};
use anyhow::{Context as _, anyhow};
use docker::{Docker, ImageInfo};
use oci::{ImageRef, Logins};
use tokio::sync::oneshot;

use crate::build::build;
use crate::builder::{self, Built, Platform, RunBuilder};
use crate::job::Job;
use crate::outcome::{ImageOutcome, Outcome, TestOutcome};
use crate::request::cache::CacheOf;
use crate::request::services::ServiceImage;
use crate::request::{Request, TestImage, Tests};
use crate::{analysis, architecture, dependencies, smoke, test_image, test_run, verdict};

/// The id of a run, and the names of its images until every check has passed; the names are removed with the run.
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) test_image: ImageRef,
    pub(crate) image: ImageRef,
    /// Of the services that are built, by their names.
    pub(crate) services: Vec<(String, ImageRef)>,
}

impl Run {
    pub(crate) fn new(docker: &Docker, request: &Request) -> anyhow::Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let tag = docker.temporary_tag(&id);
        Ok(Self {
            test_image: format!("seaworthy-ci-test:{tag}").parse()?,
            image: format!("seaworthy-ci-image:{tag}").parse()?,
            services: services(request, &tag)?,
            id,
        })
    }
}

fn services(request: &Request, tag: &str) -> anyhow::Result<Vec<(String, ImageRef)>> {
    let services = request.services.iter();
    let built = services.filter(|service| matches!(service.image, ServiceImage::Built(_)));
    let named = built.enumerate().map(|(number, service)| {
        let image = format!("seaworthy-ci-service:{number}-{tag}").parse()?;
        Ok((service.name.clone(), image))
    });
    named.collect()
}

/// Run every check, and add the results to `outcome`. A failed check does not stop the others, so that one run reports
/// everything.
pub(crate) async fn run(
    ctx: &Context,
    docker: &Docker,
    request: &Request,
    (run, logins): (&Run, &Logins),
    builder: Option<&RunBuilder<'_>>,
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
        builder,
        platform: None,
        service_images: &run.services,
        run: &run.id,
    };
    let Outcome {
        tests,
        analysis,
        image,
        dependencies,
    } = outcome;
    let (built, image_of_run) = oneshot::channel();
    let names = (&run.test_image, image_of_run);
    let code = check_code([job(0), job(1)], names, tests, analysis);
    let image = check_image(job(2), (&run.image, built), image);
    let packages = check_packages(job(3), dependencies);
    let ([tests, analysis], image, packages) = tokio::join!(code, image, packages);
    vec![tests, analysis, image, packages]
}

async fn check_code(
    [testing, linting]: [Job<'_>; 2],
    (name, image_of_run): (&ImageRef, oneshot::Receiver<ImageInfo>),
    outcome: &mut TestOutcome,
    analysis: &mut Option<analysis::Analysis>,
) -> [anyhow::Result<()>; 2] {
    let Some(tests) = &testing.request.tests else {
        return [Ok(()), Ok(())];
    };
    let built = match test_images(&testing, tests, name, outcome).await {
        Ok(built) => built,
        Err(e) => return [Err(e), Ok(())],
    };
    let Some((stage, others)) = built.split_first() else {
        return [Err(anyhow!("the build has no image")), Ok(())];
    };
    let tested = async {
        let job = testing.on(stage.platform.as_ref());
        let application = match tests.application {
            Some(_) => {
                let image = image_of_run.await;
                Some(image.context(
                    "the tests did not run, since the application that they reach was not built",
                )?)
            }
            None => None,
        };
        let images = (&stage.info, application.as_ref());
        let mut verdicts = vec![test_run::run(&job, tests, images, outcome).await];
        outcome.platform.clone_from(&stage.platform);
        for other in others {
            verdicts.push(test_other(&testing, tests, other, outcome).await);
        }
        one_of(verdicts)
    };
    let stage = &stage.info;
    let linted = async {
        match &linting.request.linting {
            Some(request) => {
                let analysis = analysis.insert(analysis::Analysis::default());
                analysis::run(&linting, request, stage, analysis).await
            }
            None => Ok(()),
        }
    };
    tokio::join!(tested, linted).into()
}

// What the tests run in, for each platform.
async fn test_images(
    job: &Job<'_>,
    tests: &Tests,
    name: &ImageRef,
    outcome: &mut TestOutcome,
) -> anyhow::Result<Vec<Built>> {
    let target = match &tests.target {
        TestImage::Stage(stage) => Some(stage.as_str()),
        TestImage::Image => job.request.build.target.as_deref(),
        TestImage::Given(image) => return Ok(vec![test_image::prepare(job, image, name).await?]),
    };
    let cache = builder::cache_of_tests(&tests.target);
    build(job, (target, name), cache, &mut outcome.build).await
}

async fn check_image(
    job: Job<'_>,
    (name, built): (&ImageRef, oneshot::Sender<ImageInfo>),
    outcome: &mut ImageOutcome,
) -> anyhow::Result<()> {
    let target = job.request.build.target.as_deref();
    let pinned = architecture::pinned_platforms(&job, &job.request.build.pinned);
    let cache = Some(CacheOf::Image);
    let building = build(&job, (target, name), cache, &mut outcome.build);
    let (pinned, images) = tokio::join!(pinned, building);
    outcome.build.warnings.extend(pinned);
    let images = images?;
    let (image, others) = images.split_first().context("the build has no image")?;
    // The tests may not wait for it.
    let _ = built.send(image.info.clone());
    outcome.layers = job.docker.layers(&image.info.id).await?;
    outcome.image = Some(image.info.clone());
    outcome.platform.clone_from(&image.platform);
    let mut verdicts = vec![check_one(&job.on(image.platform.as_ref()), image, outcome).await];
    for other in others {
        let mut own = ImageOutcome::default();
        let checked = check_one(&job.on(other.platform.as_ref()), other, &mut own).await;
        outcome.build.log_tail = outcome.build.log_tail.take().or(own.build.log_tail);
        verdicts.push(on_platform(other.platform.as_ref(), checked));
        if let Some(platform) = &other.platform {
            outcome.others.push((platform.clone(), own.health));
        }
    }
    one_of(verdicts)
}

// The programs of an image, and the smoke test of its application.
async fn check_one(job: &Job<'_>, image: &Built, outcome: &mut ImageOutcome) -> anyhow::Result<()> {
    let smoke = async {
        match &job.request.smoke {
            Some(smoke) => smoke::test(job, smoke, &image.info, outcome).await,
            None => Ok(()),
        }
    };
    let (architecture, smoke) = tokio::join!(architecture::check(job, &image.info), smoke);
    // A program for another architecture fails the smoke test, too, or is emulated there.
    architecture.and(smoke)
}

// The tests on a further platform: what the report has of them is whether they passed.
async fn test_other(
    job: &Job<'_>,
    tests: &Tests,
    image: &Built,
    outcome: &mut TestOutcome,
) -> anyhow::Result<()> {
    let job = job.on(image.platform.as_ref());
    let mut own = TestOutcome::default();
    let tested = test_run::run(&job, tests, (&image.info, None), &mut own).await;
    outcome.build.log_tail = outcome.build.log_tail.take().or(own.build.log_tail);
    if let Some(platform) = &image.platform {
        outcome.others.push((platform.clone(), own.run));
    }
    on_platform(image.platform.as_ref(), tested)
}

fn on_platform(platform: Option<&Platform>, result: anyhow::Result<()>) -> anyhow::Result<()> {
    let Some(platform) = platform else {
        return result;
    };
    result.map_err(|error| match error.downcast::<PolicyFailure>() {
        Ok(failure) => PolicyFailure(format!("{}: {}", platform.name, failure.0)).into(),
        Err(error) => error.context(platform.name.clone()),
    })
}

// A policy failure decides before another error; the messages of all are in it.
fn one_of(verdicts: Vec<anyhow::Result<()>>) -> anyhow::Result<()> {
    let (verdict, others) = verdict::combine(verdicts);
    verdict.map_err(
        |error| match (error.downcast::<PolicyFailure>(), others.is_empty()) {
            (Ok(failure), true) => failure.into(),
            (Ok(failure), false) => {
                PolicyFailure(format!("{}; {}", failure.0, others.join("; "))).into()
            }
            (Err(error), true) => error,
            (Err(error), false) => anyhow!("{error:#}; {}", others.join("; ")),
        },
    )
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
