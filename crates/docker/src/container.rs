//! One-off containers.

mod archive;
mod exec;
mod files;
mod head;
mod log;
mod spec;
mod throttling;
mod tree;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::models::HealthStatusEnum;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::{Docker, RUN_LABEL};

pub use archive::{Access, Archive};
pub use exec::{ExecOutput, ExecStream};
pub use head::FileHead;
pub use spec::{ContainerSpec, HealthCheck};
pub use throttling::Throttling;
pub use tree::Tree;

/// How long a clean-up waits for containers that are being created.
const CANCELED_TIMEOUT: Duration = Duration::from_secs(4);

/// A container that was started here.
///
/// It is removed by [`Container::remove`]; an action removes the remaining ones by [`Docker::remove_run`], also after
/// a cancellation. If the action is killed, it runs on until its command ends, and a later run removes it
/// ([`Docker::remove_overdue`]): most containers are needed after they have exited, so Docker must not remove them itself.
#[derive(Clone)]
pub struct Container {
    pub(crate) docker: Docker,
    /// The container's id.
    pub id: String,
}

/// The health of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthStatus {
    /// It has no health check.
    None,
    /// No check has succeeded, and not too many have failed.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks failed; with the output of the last one.
    Unhealthy(String),
    /// It does not run; with its exit code.
    Exited(i64),
}

impl Docker {
    /// Create and start a container.
    ///
    /// # Errors
    /// When Docker refuses; no container is left then.
    pub async fn start(&self, spec: &ContainerSpec) -> anyhow::Result<Container> {
        self.make(spec, true).await
    }

    /// Create a container that is not started: for the files of its image.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn create(&self, spec: &ContainerSpec) -> anyhow::Result<Container> {
        self.make(spec, false).await
    }

    async fn make(&self, spec: &ContainerSpec, starts: bool) -> anyhow::Result<Container> {
        let spec = spec.clone();
        let start = |docker: Self| async move { docker.create_and_start(&spec, starts).await };
        let started = self.carry_out(start).await;
        started.context("failed to start a container")?
    }

    async fn create_and_start(
        &self,
        spec: &ContainerSpec,
        starts: bool,
    ) -> anyhow::Result<Container> {
        let image = &spec.image;
        let made = self
            .api
            .create_container(None::<CreateContainerOptions>, spec.body(self.expires()))
            .await
            .with_context(|| format!("failed to create a container of `{image}`"))?;
        let container = Container {
            docker: self.clone(),
            id: made.id,
        };
        for (directory, archive) in &spec.files {
            if let Err(e) = container.extract(directory, archive.clone()).await {
                container.remove().await;
                return Err(e);
            }
        }
        if !starts {
            return Ok(container);
        }
        if let Err(e) = self
            .api
            .start_container(&container.id, None::<StartContainerOptions>)
            .await
        {
            container.remove().await;
            return Err(e).with_context(|| format!("failed to start a container of `{image}`"));
        }
        Ok(container)
    }

    // For canceled requests that create containers or images, at most four seconds.
    async fn wait_for_canceled(&self) {
        // A clean-up has little time: what takes longer than this would be left in any case.
        let _ = tokio::time::timeout(CANCELED_TIMEOUT, self.making.write()).await;
    }

    /// Remove every container, network and volume of the run `run`, also one that is being created.
    pub async fn remove_run(&self, run: &str) {
        self.wait_for_canceled().await;
        let filters = HashMap::from([("label", vec![format!("{RUN_LABEL}={run}")])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let containers = self.api.list_containers(Some(options)).await;
        let ids = containers
            .unwrap_or_default()
            .into_iter()
            .filter_map(|c| c.id);
        let containers = ids.map(|id| Container {
            docker: self.clone(),
            id,
        });
        join_all(containers.map(|container| async move { container.remove().await })).await;
        // Those that still have a container can't be removed.
        let label = format!("{RUN_LABEL}={run}");
        self.remove_networks(label.clone(), |_| true).await;
        self.remove_volumes(label, |_| true).await;
    }
}

impl Container {
    /// Wait until it exits, and return its exit code.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn wait(&self) -> anyhow::Result<i64> {
        let mut responses = self
            .docker
            .api
            .wait_container(&self.id, None::<WaitContainerOptions>);
        match responses.next().await {
            Some(Ok(response)) => Ok(response.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(e)) => Err(e).context("failed to wait for a container"),
            None => bail!("Docker's response has no exit code of the container"),
        }
    }

    /// Its exit code, or `None` while it runs.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn exit_code(&self) -> anyhow::Result<Option<i64>> {
        let state = self.inspect().await?.state.unwrap_or_default();
        Ok((state.running != Some(true)).then(|| state.exit_code.unwrap_or_default()))
    }

    /// Whether the kernel killed a process of it because memory was exhausted, as far as Docker knows.
    pub async fn is_out_of_memory(&self) -> bool {
        let state = self.inspect().await.ok().and_then(|inspect| inspect.state);
        state.is_some_and(|state| state.oom_killed == Some(true))
    }

    /// Its address on the bridge network.
    ///
    /// # Errors
    /// When it has none.
    pub async fn ip(&self) -> anyhow::Result<IpAddr> {
        let addresses = self.addresses().await?;
        let address = addresses.into_iter().next();
        address.context("the container has no address on a bridge network")
    }

    /// Its addresses, one for each of its networks.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn addresses(&self) -> anyhow::Result<Vec<IpAddr>> {
        let settings = self.inspect().await?.network_settings;
        let networks = settings.and_then(|settings| settings.networks);
        let addresses = networks.into_iter().flatten().filter_map(|(_, network)| {
            network.ip_address.filter(|ip| !ip.is_empty())?.parse().ok()
        });
        Ok(addresses.collect())
    }

    /// Its health, by its health check.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn health(&self) -> anyhow::Result<HealthStatus> {
        let state = self.inspect().await?.state.unwrap_or_default();
        if state.running != Some(true) {
            return Ok(HealthStatus::Exited(state.exit_code.unwrap_or_default()));
        }
        let Some(health) = state.health else {
            return Ok(HealthStatus::None);
        };
        let last = health.log.into_iter().flatten().last();
        let output = || last.and_then(|check| check.output).unwrap_or_default();
        Ok(match health.status {
            Some(HealthStatusEnum::HEALTHY) => HealthStatus::Healthy,
            Some(HealthStatusEnum::STARTING) => HealthStatus::Starting,
            Some(HealthStatusEnum::UNHEALTHY) => HealthStatus::Unhealthy(output()),
            _ => HealthStatus::None,
        })
    }

    pub(crate) async fn inspect(
        &self,
    ) -> anyhow::Result<bollard::models::ContainerInspectResponse> {
        self.docker
            .api
            .inspect_container(&self.id, None::<InspectContainerOptions>)
            .await
            .context("failed to inspect a container")
    }

    /// Send it its stop signal, kill it after `grace`, and return its exit code.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn stop(&self, grace: Duration) -> anyhow::Result<i64> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        self.docker
            .api
            .stop_container(&self.id, Some(options))
            .await
            .context("failed to stop a container")?;
        self.wait().await
    }

    /// Send it `signal`.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill(&self, signal: &str) -> anyhow::Result<()> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let killed = self
            .docker
            .api
            .kill_container(&self.id, Some(options))
            .await;
        killed.with_context(|| format!("failed to send {signal} to a container"))
    }

    /// Remove it and its volumes, running or not. An error is ignored: Docker logs it.
    pub async fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let _ = self
            .docker
            .api
            .remove_container(&self.id, Some(options))
            .await;
    }
}

/// A file that Docker sends as `archive`, copied into the directory `into`.
#[cfg(fuzzing)]
pub(crate) fn fuzz(archive: &std::path::Path, into: &std::path::Path) {
    let _ = files::only_file(archive, &into.join("file"));
    let bytes = std::fs::read(archive).unwrap_or_default();
    let _ = files::content(&bytes, "file", 1024);
    let _ = head::first_entry(&bytes);
}
