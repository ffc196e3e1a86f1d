//! Services for the tests and the smoke test: containers on a network of the run, at which each is found by its name.

use std::time::{Duration, Instant};

use actions_toolkit::text;
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, HealthStatus};
use futures_util::future::try_join_all;

use crate::job::Job;
use crate::request::Service;

const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Lines of the log of a service that does not start.
const TAIL: usize = 20;

/// Whether what is on a network reaches the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Reachable,
    Unreachable,
}

/// Start the services of the request on a network for `what`, and wait until they are ready; `None` without services.
///
/// Tests and smoke test have separate services: what one writes would be in the way of the other. They are removed
/// with the run.
pub(crate) async fn start(
    job: &Job<'_>,
    what: &str,
    outside: Outside,
) -> anyhow::Result<Option<String>> {
    let services = &job.request.services;
    if services.is_empty() {
        return Ok(None);
    }
    let platform = job.platform.map(|platform| platform.name.replace('/', "-"));
    let what = [Some(what), platform.as_deref()];
    let what: Vec<_> = what.into_iter().flatten().collect();
    let network = format!("seaworthy-ci-{}-{}", what.join("-"), job.run);
    let is_internal = outside == Outside::Unreachable;
    job.docker
        .create_network(&network, job.run, is_internal)
        .await?;
    let start = Instant::now();
    let ready = services.iter().map(|service| async {
        one(job, service, &network)
            .await
            .with_context(|| format!("the service `{}` is not ready", service.name))
    });
    try_join_all(ready).await?;
    let names: Vec<_> = services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    job.log.info(format!(
        "services ready after {}: {}",
        text::seconds(start.elapsed()),
        names.join(", ")
    ));
    Ok(Some(network))
}

async fn one(job: &Job<'_>, service: &Service, network: &str) -> anyhow::Result<()> {
    let image = &service.image;
    job.provide(image).await?;
    let spec = ContainerSpec {
        image: image.to_string(),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: service.env.clone(),
        network: Some(network.to_owned()),
        alias: Some(service.name.clone()),
        tmpfs: service.tmpfs.clone(),
        user: service.user.clone(),
        health: service.health.clone(),
        security_opt: vec!["no-new-privileges".to_owned()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let container = job.docker.start(&spec).await?;
    let timeout = job.request.services_timeout;
    match tokio::time::timeout(timeout, until_ready(&container)).await {
        Ok(ready) => ready,
        Err(_) => bail!(
            "it was not healthy within {} (`services-timeout`){}",
            text::seconds(timeout),
            last_lines(&container).await
        ),
    }
}

// A service without a health check is ready when it runs, as in a workflow.
async fn until_ready(container: &Container) -> anyhow::Result<()> {
    loop {
        match container.health().await? {
            HealthStatus::None | HealthStatus::Healthy => return Ok(()),
            HealthStatus::Exited(code) => {
                bail!("it exited with code {code}{}", last_lines(container).await)
            }
            HealthStatus::Unhealthy(output) => {
                let output = output.trim();
                let output = if output.is_empty() {
                    String::new()
                } else {
                    format!(": {}", text::cut(output, 1000))
                };
                bail!(
                    "its health check failed{output}{}",
                    last_lines(container).await
                )
            }
            HealthStatus::Starting => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

async fn last_lines(container: &Container) -> String {
    let lines = container.log_tail(TAIL).await;
    if lines.is_empty() {
        return String::new();
    }
    format!("; its last lines:\n{}", lines.join("\n"))
}
