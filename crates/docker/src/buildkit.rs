//! A BuildKit of the run: a container for its time, reached through Docker's socket.
//!
//! It is not privileged and listens on no port. It shares the network namespace of this process, so that it reaches the
//! loopback port of the local registry; the steps of its builds use that network too.

mod solve;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use oci::{ImageRef, Platform};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

pub use solve::{CacheEntry, Solve};

use crate::{Container, ContainerSpec, Docker, ExecStream, netns};

/// For BuildKit to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The exit code of a process that SIGKILL ended: 128 and the signal's number.
const KILLED: i64 = 137;

/// Ends BuildKit, the first process of its container, when its standard input is closed: that is a connection of this process,
/// which ends with it, also by SIGKILL.
const LEASE: [&str; 3] = ["/bin/sh", "-c", "cat >/dev/null; kill -TERM 1"];

/// A worker of BuildKit (github.com/moby/buildkit, `client.WorkerInfo`).
#[derive(serde::Deserialize)]
struct Worker {
    #[serde(default)]
    platforms: Vec<Platform>,
}

/// A running BuildKit; `build` is [`BuildKit::build`].
pub struct BuildKit {
    container: Container,
    /// Without it, because the image has no shell, a BuildKit whose run is killed stays until a later run removes it.
    _lease: Option<ExecStream>,
    bridge: tokio::task::JoinHandle<()>,
    socket: PathBuf,
}

impl BuildKit {
    /// Start one of `image`, the value of the input `buildkit-image`, with its socket in `directory`.
    ///
    /// # Errors
    /// When Docker can't pull the image, or BuildKit does not start; its container is removed then.
    pub async fn start(
        docker: &Docker,
        image: &ImageRef,
        directory: &Path,
        run: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with(docker, image, directory, run, Vec::new()).await
    }

    /// The same with the variables `env`, as `NAME=value`: a proxy, say, through which it pulls images. It does not use one for the
    /// loopback port of the local registry (pkg.go.dev/golang.org/x/net/http/httpproxy, `Config.ProxyFunc`).
    ///
    /// # Errors
    /// As [`BuildKit::start`].
    pub async fn start_with(
        docker: &Docker,
        image: &ImageRef,
        directory: &Path,
        run: &str,
        env: Vec<String>,
    ) -> anyhow::Result<Self> {
        if docker.inspect(image).await?.is_none() {
            docker.pull(image, None).await.with_context(|| {
                format!("failed to pull BuildKit's image `{image}` (`buildkit-image`)")
            })?;
        }
        let network = netns::self_container_id()
            .map_or_else(|| "host".to_owned(), |id| format!("container:{id}"));
        let spec = ContainerSpec {
            image: image.to_string(),
            cmd: vec!["--oci-worker-net=host".into()],
            env,
            network: Some(network),
            volumes: vec!["/var/lib/buildkit".into()],
            binds: vec!["/sys/fs/cgroup:/sys/fs/cgroup".into()],
            // What a build needs: mounts, and the network of its steps.
            cap_add: vec!["SYS_ADMIN".into(), "NET_ADMIN".into()],
            security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()],
            show_system_paths: true,
            run: run.to_owned(),
            ..ContainerSpec::default()
        };
        let container = docker
            .start(&spec)
            .await
            .context("failed to start BuildKit")?;
        let lease = container.exec_stream(&LEASE).await.ok();
        if let Err(e) = ready(&container).await {
            container.remove().await;
            return Err(e);
        }
        let socket = directory.join("buildkit.sock");
        let listener = UnixListener::bind(&socket).context("failed to open BuildKit's socket")?;
        let bridge = tokio::spawn(accept(listener, container.clone()));
        Ok(Self {
            container,
            _lease: lease,
            bridge,
            socket,
        })
    }

    /// The address at which a client reaches it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The platforms whose programs it runs, by itself or by an emulator: it has tried each.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn platforms(&self) -> anyhow::Result<Vec<Platform>> {
        let list = ["buildctl", "debug", "workers", "--format", "{{json .}}"];
        let listed = self.container.exec(&list).await?;
        let workers: Vec<Worker> = serde_json::from_str(&listed.stdout)
            .context("failed to read the platforms of BuildKit")?;
        Ok(workers.into_iter().flat_map(|w| w.platforms).collect())
    }

    /// Remove what nothing uses from its cache, the oldest first, until it has no more than `megabytes`.
    ///
    /// # Errors
    /// When it does not respond, or fails.
    pub async fn prune(&self, megabytes: u32) -> anyhow::Result<()> {
        let keep = megabytes.to_string();
        let prune = ["buildctl", "prune", "--keep-storage", &keep];
        let done = self.container.exec(&prune).await?;
        let output = done.output.trim();
        anyhow::ensure!(done.code == 0, "exit code {}: {output}", done.code);
        Ok(())
    }

    /// How it exited during `what`, if it did.
    pub async fn exit(&self, what: &str) -> Option<String> {
        // If Docker does not answer, BuildKit is not to blame.
        let code = self.container.exit_code().await.ok()??;
        let killed = if code == KILLED {
            ": it was killed, most often for lack of memory"
        } else {
            ""
        };
        Some(format!(
            "BuildKit exited with code {code} during {what}{killed}"
        ))
    }

    /// Remove it with all that it cached.
    pub async fn remove(&self) {
        self.bridge.abort();
        self.container.remove().await;
    }
}

async fn ready(container: &Container) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let workers = container.exec(&["buildctl", "debug", "workers"]).await;
        if workers.as_ref().is_ok_and(|done| done.code == 0) {
            return Ok(());
        }
        let exited = container.exit_code().await?.is_some();
        if exited || started.elapsed() > READY_TIMEOUT {
            let output = container.log_tail(5).await.join("; ");
            bail!("BuildKit did not start: {output}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn accept(listener: UnixListener, container: Container) {
    while let Ok((stream, _)) = listener.accept().await {
        let container = container.clone();
        // The client has the other end, and reports a broken connection.
        tokio::spawn(async move { pipe(stream, &container).await.ok() });
    }
}

// One connection of a client, carried by `buildctl dial-stdio` in the container.
async fn pipe(stream: UnixStream, container: &Container) -> anyhow::Result<()> {
    let mut inner = container.exec_stream(&["buildctl", "dial-stdio"]).await?;
    let (mut read, mut write) = stream.into_split();
    let upward = async {
        let mut chunk = vec![0; 32 * 1024];
        loop {
            let count = read.read(&mut chunk).await?;
            if count == 0 {
                return inner.input.shutdown().await.map_err(anyhow::Error::from);
            }
            inner.input.write_all(&chunk[..count]).await?;
            inner.input.flush().await?;
        }
    };
    let downward = async {
        while let Some(chunk) = inner.output.next().await {
            write.write_all(&chunk?).await?;
        }
        write.shutdown().await.map_err(anyhow::Error::from)
    };
    tokio::try_join!(upward, downward).map(drop)
}
