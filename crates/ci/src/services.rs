//! Services for the tests and the smoke test: containers on a network of the run, at which each is found by its name.

mod files;

use std::time::{Duration, Instant};

use actions_toolkit::text;
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, HealthStatus, ImageInfo};
use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use crate::build;
use crate::job::Job;
use crate::request::Service;
use crate::request::services::{Condition, ServiceImage};
use crate::smoke::{sockets, tcp_ports};

const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long a service without a health check is waited for until it listens: not every port that an image exposes is used.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of the log of a service that does not start.
const TAIL: usize = 20;

/// Whether what is on a network reaches the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Reachable,
    Unreachable,
}

/// What runs next to the tests or the application.
pub(crate) struct Started {
    /// Held while a container gets its files, which are in memory then: there may be a hundred of them.
    copying: Mutex<()>,
    /// Of the network, and what the names of the volumes start with.
    name: String,
    /// `None` without services.
    pub(crate) network: Option<String>,
}

/// What the services are for.
pub(crate) struct Purpose<'a> {
    /// `tests` or `smoke`, in the names of network and volumes.
    pub(crate) name: &'a str,
    pub(crate) outside: Outside,
    /// How the compose file runs what the step builds.
    pub(crate) application: Option<&'a Service>,
    /// Whether there is a network without services, too.
    pub(crate) needs_network: bool,
}

/// Start the services of the request on a network for `purpose`, and wait until they are ready; then the application has its
/// volumes.
///
/// Tests and smoke test have separate services: what one writes would be in the way of the other. They are removed
/// with the run.
pub(crate) async fn start(job: &Job<'_>, purpose: Purpose<'_>) -> anyhow::Result<Started> {
    let Purpose {
        name: what,
        outside,
        application,
        needs_network,
    } = purpose;
    let services = &job.request.services;
    let platform = job.platform.map(|platform| platform.name.replace('/', "-"));
    let what = [Some(what), platform.as_deref()];
    let what: Vec<_> = what.into_iter().flatten().collect();
    let name = format!("seaworthy-ci-{}-{}", what.join("-"), job.run);
    let mut started = Started {
        copying: Mutex::default(),
        network: (needs_network || !services.is_empty()).then(|| name.clone()),
        name,
    };
    let mut volumes: Vec<_> = services
        .iter()
        .chain(application)
        .flat_map(|service| &service.volumes)
        .filter_map(|(volume, _)| volume.as_ref())
        .collect();
    volumes.sort();
    volumes.dedup();
    for volume in volumes {
        let name = started.volume(volume);
        job.docker.create_volume(&name, job.run).await?;
    }
    let Some(network) = &mut started.network else {
        return Ok(started);
    };
    let is_internal = outside == Outside::Unreachable;
    job.docker
        .create_network(network, job.run, is_internal)
        .await?;
    if services.is_empty() {
        return Ok(started);
    }
    let start = Instant::now();
    let mut waiting: Vec<&Service> = services.iter().collect();
    let mut ready: Vec<&str> = Vec::new();
    while !waiting.is_empty() {
        let (next, rest): (Vec<_>, Vec<_>) = waiting.iter().partition(|service| {
            let mut after = service.after.iter();
            after.all(|(name, _)| ready.contains(&name.as_str()))
        });
        if next.is_empty() {
            bail!("the services depend on each other");
        }
        let starting = next.iter().map(|service: &&Service| async {
            let is_task = services.iter().chain(application).any(|other| {
                let mut after = other.after.iter();
                after.any(|(name, how)| *name == service.name && *how == Condition::Completed)
            });
            one(job, service, &started, is_task)
                .await
                .with_context(|| format!("the service `{}` is not ready", service.name))
        });
        try_join_all(starting).await?;
        ready.extend(next.iter().map(|service| service.name.as_str()));
        waiting = rest;
    }
    job.log.info(format!(
        "services ready after {}: {}",
        text::seconds(start.elapsed()),
        ready.join(", ")
    ));
    Ok(started)
}

impl Started {
    fn volume(&self, volume: &str) -> String {
        format!("{}-{volume}", self.name)
    }

    /// `spec` with the volumes and the files of `service`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn with_mounts(
        &self,
        spec: ContainerSpec,
        service: &Service,
    ) -> anyhow::Result<ContainerSpec> {
        let mut spec = spec;
        for (volume, target) in &service.volumes {
            match volume {
                Some(volume) => spec.binds.push(format!("{}:{target}", self.volume(volume))),
                None => spec.volumes.push(target.clone()),
            }
        }
        spec.files = files::archives(&service.files)?;
        Ok(spec)
    }
}

async fn one(
    job: &Job<'_>,
    service: &Service,
    started: &Started,
    is_task: bool,
) -> anyhow::Result<()> {
    let image = provide(job, service).await?;
    let spec = ContainerSpec {
        image: image.id.clone(),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: service.env.clone(),
        network: started.network.clone(),
        aliases: std::iter::once(&service.name)
            .chain(&service.aliases)
            .cloned()
            .collect(),
        working_dir: service.working_dir.clone(),
        tmpfs: service.tmpfs.clone(),
        user: service.user.clone(),
        health: service.health.clone(),
        security_opt: vec!["no-new-privileges".to_owned()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let container = {
        let _turn = started.copying.lock().await;
        let spec = started.with_mounts(spec, service)?;
        job.docker.start(&spec).await?
    };
    let timeout = job.request.services_timeout;
    if is_task {
        return match tokio::time::timeout(timeout, container.wait()).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(code)) => bail!("it exited with code {code}{}", last_lines(&container).await),
            Ok(Err(e)) => Err(e),
            Err(_) => bail!(
                "it was still running after {} (`services-timeout`), and another service needs it to be completed{}",
                text::seconds(timeout),
                last_lines(&container).await
            ),
        };
    }
    let ports = if service.ports.is_empty() {
        tcp_ports(&image.config)
    } else {
        service.ports.clone()
    };
    let ready = until_ready(job, service, &container, &ports);
    match tokio::time::timeout(timeout, ready).await {
        Ok(ready) => ready,
        Err(_) => bail!(
            "it was not healthy within {} (`services-timeout`){}",
            text::seconds(timeout),
            last_lines(&container).await
        ),
    }
}

async fn provide(job: &Job<'_>, service: &Service) -> anyhow::Result<ImageInfo> {
    match &service.image {
        ServiceImage::Named(image) => {
            job.provide(image).await?;
            let info = job.docker.inspect(image).await?;
            info.with_context(|| format!("Docker does not have `{image}`, which it pulled"))
        }
        ServiceImage::Built(build) => {
            let mut names = job.service_images.iter();
            let name = names.find(|(name, _)| *name == service.name);
            let (name, image) = name.context("it has no name for its image")?;
            build::service(job, name, build, image).await
        }
    }
}

// A service without a health check is ready when it listens, or has exited without an error.
async fn until_ready(
    job: &Job<'_>,
    service: &Service,
    container: &Container,
    ports: &[u16],
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        match container.health().await? {
            HealthStatus::Healthy => return Ok(()),
            HealthStatus::None => {
                if ports.is_empty() || listens(container, ports).await {
                    return Ok(());
                }
                if start.elapsed() >= LISTEN_TIMEOUT {
                    job.log.warning(format!(
                        "the service `{}` listens on none of its ports after {}",
                        service.name,
                        text::seconds(LISTEN_TIMEOUT)
                    ));
                    return Ok(());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            HealthStatus::Exited(0) if service.health.is_none() => return Ok(()),
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

// An image without `cat` does not show it, and is not waited for.
async fn listens(container: &Container, ports: &[u16]) -> bool {
    let Some(sockets) = sockets(container).await else {
        return true;
    };
    sockets
        .iter()
        .any(|socket| !socket.is_local && ports.contains(&socket.port))
}

async fn last_lines(container: &Container) -> String {
    let lines = container.log_tail(TAIL).await;
    if lines.is_empty() {
        return String::new();
    }
    format!("; its last lines:\n{}", lines.join("\n"))
}
