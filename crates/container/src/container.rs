//! One-off containers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;

use crate::{Engine, RUN_LABEL};

/// How long a clean-up waits for containers that are just being made.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    /// The image, by name or id.
    pub image: String,
    /// The command, if not the image's own.
    pub cmd: Vec<String>,
    /// The entry point, if not the image's own.
    pub entrypoint: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// `bridge` (the default), `none`, `host` or `container:<id>`.
    pub network: Option<String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Folders in memory.
    pub tmpfs: Vec<String>,
    /// Folders that get a volume of their own, which goes with the container.
    pub volumes: Vec<String>,
    /// Folders of the host, as `source:target[:ro]`.
    pub binds: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Security options, as `docker run --security-opt`.
    pub security_opt: Vec<String>,
    /// Whether paths of `/proc` and `/sys` that the engine hides are shown (`systempaths=unconfined`).
    pub show_system_paths: bool,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Limit of processes.
    pub pids_limit: Option<i64>,
    /// The value of the label that marks our containers.
    pub run: String,
}

/// A container that we made. It is removed by [`Container::remove`]; `run()` of an action removes
/// what is left by [`Engine::remove_run`], also after a cancellation.
#[derive(Clone)]
pub struct Container {
    engine: Engine,
    /// The container's id.
    pub id: String,
}

/// The result of a command in a container.
#[derive(Debug, Clone)]
pub struct ExecOutput {
    /// Its exit code.
    pub code: i64,
    /// What it printed, both streams.
    pub output: String,
    /// What it printed on standard output alone.
    pub stdout: String,
}

/// A command in a container whose input and output are connected to us.
pub struct ExecStream {
    /// What it prints on standard output.
    pub output: std::pin::Pin<Box<dyn Stream<Item = anyhow::Result<bytes::Bytes>> + Send>>,
    /// Its standard input.
    pub input: ExecInput,
}

type ExecInput = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;
type Chunks =
    std::pin::Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

impl Engine {
    /// Make and start a container.
    ///
    /// # Errors
    /// When the engine refuses; nothing is left then.
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
        // An engine carries out a request whose client has gone: one that is given up goes on in a task of
        // its own, and `remove_run` waits for it.
        let making = Arc::clone(&self.making).read_owned().await;
        let engine = self.clone();
        let image = spec.image.clone();
        let start = async move {
            let _making = making;
            engine.make(&image, body).await
        };
        let started = tokio::spawn(start).await;
        started.context("while starting a container")?
    }

    async fn make(&self, image: &str, body: ContainerCreateBody) -> anyhow::Result<Container> {
        let made = self
            .docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .with_context(|| format!("while making a container of `{image}`"))?;
        let container = Container {
            engine: self.clone(),
            id: made.id,
        };
        if let Err(e) = self
            .docker
            .start_container(&container.id, None::<StartContainerOptions>)
            .await
        {
            container.remove().await;
            return Err(e).with_context(|| format!("while starting a container of `{image}`"));
        }
        Ok(container)
    }

    /// Wait until nothing is coming into being that was asked for and given up.
    pub async fn settled(&self) {
        // Whoever cleans up has little time: what takes longer than this would be left in any case.
        let _ = tokio::time::timeout(SETTLE_LIMIT, self.making.write()).await;
    }

    /// Remove every container that carries the run `run`, also one that is just being made.
    pub async fn remove_run(&self, run: &str) {
        self.settled().await;
        let filters = HashMap::from([("label", vec![format!("{RUN_LABEL}={run}")])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        for found in self
            .docker
            .list_containers(Some(options))
            .await
            .unwrap_or_default()
        {
            if let Some(id) = found.id {
                Container {
                    engine: self.clone(),
                    id,
                }
                .remove()
                .await;
            }
        }
    }
}

impl Container {
    /// The lines of its log, both streams, until it ends.
    pub fn logs(&self) -> impl Stream<Item = anyhow::Result<String>> + '_ {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(true)
            .build();
        let chunks = self.engine.docker.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| {
            Ok(chunk
                .context("while reading a container's log")?
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
        let chunks = self.engine.docker.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| Ok(chunk?.into_bytes())))
            .filter_map(|line| async { line.ok() })
            .collect()
            .await
    }

    /// Wait until it ends, and return its exit code.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn wait(&self) -> anyhow::Result<i64> {
        let mut answers = self
            .engine
            .docker
            .wait_container(&self.id, None::<WaitContainerOptions>);
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(e)) => Err(e).context("while waiting for a container"),
            None => bail!("the engine ended its answer without the container's exit code"),
        }
    }

    /// Its exit code if it has ended, `None` while it runs.
    ///
    /// # Errors
    /// When the engine does not answer.
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
        self.engine
            .docker
            .inspect_container(&self.id, None::<InspectContainerOptions>)
            .await
            .context("while inspecting a container")
    }

    /// The file or folder `path`, as a tar.
    ///
    /// # Errors
    /// When there is no such path, or more than `limit` bytes of it.
    pub async fn copy_out(&self, path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let mut chunks = self
            .engine
            .docker
            .download_from_container(&self.id, Some(options));
        let mut tar = Vec::new();
        while let Some(chunk) = chunks.next().await {
            tar.extend(
                chunk.with_context(|| format!("while copying `{path}` out of the container"))?,
            );
            if tar.len() > limit {
                bail!("`{path}` in the container is larger than {limit} bytes");
            }
        }
        Ok(tar)
    }

    /// Copy the file `path`, however large, into the folder `into`; its name stays.
    ///
    /// # Errors
    /// When there is no such file, or it can't be written.
    pub async fn copy_file(&self, path: &str, into: &Path) -> anyhow::Result<()> {
        let what = || format!("while copying `{path}` out of the container");
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let docker = &self.engine.docker;
        let mut chunks = docker.download_from_container(&self.id, Some(options));
        let archive = into.join("copied.tar");
        let mut file = tokio::fs::File::create(&archive).await.with_context(what)?;
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk.with_context(what)?).await?;
        }
        file.flush().await?;
        let (from, to) = (archive.clone(), into.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut tar = tar::Archive::new(std::fs::File::open(from)?);
            tar.unpack(to)
        })
        .await?
        .with_context(what)?;
        tokio::fs::remove_file(&archive).await.with_context(what)
    }

    /// Put the file `name` with `content` into the folder `folder` of it.
    ///
    /// # Errors
    /// When there is no such folder, or it is read-only.
    pub async fn copy_in(&self, folder: &str, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        let what = || format!("while copying `{name}` into `{folder}` of a container");
        archive
            .append_data(&mut header, name, content)
            .with_context(what)?;
        let bytes = archive.into_inner().with_context(what)?;
        let options = UploadToContainerOptionsBuilder::default()
            .path(folder)
            .build();
        self.engine
            .docker
            .upload_to_container(&self.id, Some(options), bollard::body_full(bytes.into()))
            .await
            .with_context(what)
    }

    /// Run a command in it to its end.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn exec(&self, cmd: &[&str]) -> anyhow::Result<ExecOutput> {
        let (id, mut chunks, _) = self.start_exec(cmd, false).await?;
        let (mut output, mut stdout) = (Vec::new(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.context("while reading from a container")?;
            let printed = matches!(chunk, LogOutput::StdOut { .. });
            let bytes = chunk.into_bytes();
            output.extend_from_slice(&bytes);
            if printed {
                stdout.extend_from_slice(&bytes);
            }
        }
        let ended = self
            .engine
            .docker
            .inspect_exec(&id)
            .await
            .context("while reading an exit code")?;
        Ok(ExecOutput {
            code: ended.exit_code.unwrap_or(-1),
            output: String::from_utf8_lossy(&output).into_owned(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
        })
    }

    /// Run a command in it with its input and output connected to us.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn exec_stream(&self, cmd: &[&str]) -> anyhow::Result<ExecStream> {
        let (_, chunks, input) = self.start_exec(cmd, true).await?;
        let output = chunks.filter_map(|chunk| async move {
            match chunk {
                Ok(LogOutput::StdErr { .. }) => None,
                Ok(chunk) => Some(Ok(chunk.into_bytes())),
                Err(e) => Some(Err(
                    anyhow::Error::new(e).context("while reading from a container")
                )),
            }
        });
        Ok(ExecStream {
            output: Box::pin(output),
            input,
        })
    }

    async fn start_exec(
        &self,
        cmd: &[&str],
        attach_stdin: bool,
    ) -> anyhow::Result<(String, Chunks, ExecInput)> {
        let docker = &self.engine.docker;
        let config = ExecConfig {
            cmd: Some(cmd.iter().map(ToString::to_string).collect()),
            attach_stdin: Some(attach_stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(!attach_stdin),
            ..Default::default()
        };
        let what = || format!("while running `{}` in a container", cmd.join(" "));
        let made = docker
            .create_exec(&self.id, config)
            .await
            .with_context(what)?;
        let started = docker
            .start_exec(&made.id, None::<StartExecOptions>)
            .await
            .with_context(what)?;
        let StartExecResults::Attached { output, input } = started else {
            bail!("{}: the engine did not attach its streams", what());
        };
        Ok((made.id, output, input))
    }

    /// Ask it to end (its stop signal), kill it after `grace`, and return its exit code.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn stop(&self, grace: Duration) -> anyhow::Result<i64> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        self.engine
            .docker
            .stop_container(&self.id, Some(options))
            .await
            .context("while stopping a container")?;
        self.wait().await
    }

    /// Send it `signal`.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill(&self, signal: &str) -> anyhow::Result<()> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let killed = self
            .engine
            .docker
            .kill_container(&self.id, Some(options))
            .await;
        killed.with_context(|| format!("while sending {signal} to a container"))
    }

    /// Remove it and its volumes, running or not. There is nobody to tell when that fails: the
    /// engine says so in its own log.
    pub async fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let _ = self
            .engine
            .docker
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
