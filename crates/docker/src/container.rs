//! One-off containers.

mod exec;
mod files;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};

use crate::{Docker, RUN_LABEL};

pub use exec::{ExecOutput, ExecStream};

/// How long a clean-up waits for containers that are being created.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// A container to create.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    /// The image, by name or id.
    pub image: String,
    /// The command, unless the image's is used.
    pub cmd: Vec<String>,
    /// The entry point, unless the image's is used.
    pub entrypoint: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// `bridge` (the default), `none`, `host` or `container:<id>`.
    pub network: Option<String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Directories with an anonymous volume, which is removed with the container.
    pub volumes: Vec<String>,
    /// Bind mounts, as `source:target[:ro]`.
    pub binds: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Security options, as `docker run --security-opt`.
    pub security_opt: Vec<String>,
    /// Whether paths of `/proc` and `/sys` that Docker hides are shown (`systempaths=unconfined`).
    pub show_system_paths: bool,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Maximum number of processes.
    pub pids_limit: Option<i64>,
    /// The value of [`RUN_LABEL`].
    pub run: String,
}

/// A container that was started here.
///
/// It is removed by [`Container::remove`]; an action removes the remaining ones by [`Docker::remove_run`], also after
/// a cancellation.
#[derive(Clone)]
pub struct Container {
    docker: Docker,
    /// The container's id.
    pub id: String,
}

impl Docker {
    /// Create and start a container.
    ///
    /// # Errors
    /// When Docker refuses; no container is left then.
    pub async fn start(&self, spec: &ContainerSpec) -> anyhow::Result<Container> {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let host = HostConfig {
            network_mode: spec.network.clone(),
            readonly_rootfs: Some(spec.read_only),
            tmpfs: Some(
                spec.tmpfs
                    .iter()
                    .map(|path| (path.clone(), String::new()))
                    .collect(),
            ),
            binds: some(&spec.binds),
            cap_drop: some(&spec.cap_drop),
            cap_add: some(&spec.cap_add),
            security_opt: some(&spec.security_opt),
            masked_paths: spec.show_system_paths.then(Vec::new),
            readonly_paths: spec.show_system_paths.then(Vec::new),
            memory: spec.memory,
            pids_limit: spec.pids_limit,
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: some(&spec.cmd),
            entrypoint: some(&spec.entrypoint),
            env: some(&spec.env),
            volumes: some(&spec.volumes),
            labels: Some(HashMap::from([(RUN_LABEL.to_owned(), spec.run.clone())])),
            host_config: Some(host),
            ..Default::default()
        };
        // Docker carries out a request even if its client disconnects: a canceled one continues in its own task,
        // and `remove_run` waits for it.
        let making = Arc::clone(&self.making).read_owned().await;
        let docker = self.clone();
        let image = spec.image.clone();
        let start = async move {
            let _making = making;
            docker.create_and_start(&image, body).await
        };
        let started = tokio::spawn(start).await;
        started.context("failed to start a container")?
    }

    async fn create_and_start(
        &self,
        image: &str,
        body: ContainerCreateBody,
    ) -> anyhow::Result<Container> {
        let made = self
            .api
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .with_context(|| format!("failed to create a container of `{image}`"))?;
        let container = Container {
            docker: self.clone(),
            id: made.id,
        };
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

    /// Wait for canceled requests that create containers or images, at most three seconds.
    pub async fn settled(&self) {
        // A clean-up has little time: what takes longer than this would be left in any case.
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, self.making.write()).await;
    }

    /// Remove every container of the run `run`, also one that is being created.
    pub async fn remove_run(&self, run: &str) {
        self.settled().await;
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
    }
}

impl Container {
    /// The lines of its log, both streams, until it exits.
    pub fn logs(&self) -> impl Stream<Item = anyhow::Result<String>> + '_ {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(true)
            .build();
        let chunks = self.docker.api.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| {
            Ok(chunk
                .context("failed to read a container's log")?
                .into_bytes())
        }))
    }

    /// The last `count` lines of its log.
    pub async fn log_tail(&self, count: usize) -> Vec<String> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&count.to_string())
            .build();
        let chunks = self.docker.api.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| Ok(chunk?.into_bytes())))
            .filter_map(|line| async { line.ok() })
            .collect()
            .await
    }

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
    pub async fn ended(&self) -> anyhow::Result<Option<i64>> {
        let state = self.inspect().await?.state.unwrap_or_default();
        Ok((state.running != Some(true)).then(|| state.exit_code.unwrap_or_default()))
    }

    /// Its address on the bridge network.
    ///
    /// # Errors
    /// When it has none.
    pub async fn ip(&self) -> anyhow::Result<std::net::IpAddr> {
        let networks = self
            .inspect()
            .await?
            .network_settings
            .and_then(|n| n.networks);
        let address = networks
            .into_iter()
            .flatten()
            .find_map(|(_, network)| network.ip_address.filter(|ip| !ip.is_empty())?.parse().ok());
        address.context("the container has no address on a bridge network")
    }

    async fn inspect(&self) -> anyhow::Result<bollard::models::ContainerInspectResponse> {
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

fn lines(
    chunks: impl Stream<Item = anyhow::Result<bytes::Bytes>>,
) -> impl Stream<Item = anyhow::Result<String>> {
    let chunks = Box::pin(chunks);
    futures_util::stream::unfold(
        (chunks, Vec::new(), false),
        |(mut chunks, mut buffer, mut end)| async move {
            loop {
                if let Some(at) = buffer.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=at).collect();
                    let line = String::from_utf8_lossy(&line)
                        .trim_end_matches(['\n', '\r'])
                        .to_owned();
                    return Some((Ok(line), (chunks, buffer, end)));
                }
                if end {
                    let rest = String::from_utf8_lossy(&buffer).into_owned();
                    buffer.clear();
                    return (!rest.is_empty()).then_some((Ok(rest), (chunks, buffer, end)));
                }
                match chunks.next().await {
                    Some(Ok(chunk)) => buffer.extend(chunk),
                    Some(Err(e)) => return Some((Err(e), (chunks, Vec::new(), true))),
                    None => end = true,
                }
            }
        },
    )
}
