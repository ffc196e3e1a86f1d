//! A BuildKit of our own: a container for the time of the step, reached through Docker's socket.
//!
//! It is not privileged and listens on no port. It shares our network namespace, so that it reaches the
//! loopback port on which Docker's images are served; the steps of a patch use that network too.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, Docker, netns};
use futures_util::StreamExt as _;
use oci::ImageRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const READY_LIMIT: Duration = Duration::from_secs(60);
const READY_PAUSE: Duration = Duration::from_millis(50);
/// The exit code of what SIGKILL ended: 128 and the signal's number.
const KILLED: i64 = 137;

/// A running BuildKit.
pub(crate) struct BuildKit {
    container: Container,
    bridge: tokio::task::JoinHandle<()>,
    socket: PathBuf,
}

impl BuildKit {
    /// Start one; its socket is made in `folder`.
    ///
    /// # Errors
    /// When Docker does not have or get the image, or BuildKit does not come up; nothing is left then.
    pub(crate) async fn start(
        docker: &Docker,
        image: &ImageRef,
        folder: &Path,
        run: &str,
    ) -> anyhow::Result<Self> {
        if docker.inspect(image).await?.is_none() {
            docker.pull(image, None).await.with_context(|| {
                format!("while fetching BuildKit: `buildkit-image` is `{image}`")
            })?;
        }
        let network = netns::self_container_id()
            .map_or_else(|| "host".to_owned(), |id| format!("container:{id}"));
        let spec = ContainerSpec {
            image: image.to_string(),
            cmd: vec!["--oci-worker-net=host".into()],
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
            .context("while starting BuildKit")?;
        if let Err(e) = ready(&container).await {
            container.remove().await;
            return Err(e);
        }
        let socket = folder.join("buildkit.sock");
        let listener = UnixListener::bind(&socket).context("while opening BuildKit's socket")?;
        let bridge = tokio::spawn(accept(listener, container.clone()));
        Ok(Self {
            container,
            bridge,
            socket,
        })
    }

    /// Where Copa reaches it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How it ended, if it did.
    pub(crate) async fn end(&self) -> Option<String> {
        // Docker that does not say is no reason to blame BuildKit.
        let code = self.container.ended().await.ok()??;
        let killed = if code == KILLED {
            ": it was killed, most often for want of memory"
        } else {
            ""
        };
        Some(format!(
            "BuildKit ended with exit code {code} in the midst of it{killed}"
        ))
    }

    /// Remove it with all that it cached.
    pub(crate) async fn remove(&self) {
        self.bridge.abort();
        self.container.remove().await;
    }
}

async fn ready(container: &Container) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let asked = container.exec(&["buildctl", "debug", "workers"]).await;
        if asked.as_ref().is_ok_and(|answer| answer.code == 0) {
            return Ok(());
        }
        let ended = container.ended().await?.is_some();
        if ended || begun.elapsed() > READY_LIMIT {
            let said = container.log_tail(5).await.join("; ");
            bail!("BuildKit did not come up: {said}; give another one by `buildkit-address`");
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
}

async fn accept(listener: UnixListener, container: Container) {
    while let Ok((stream, _)) = listener.accept().await {
        let container = container.clone();
        // A connection that breaks is Copa's to report: it has the other end.
        tokio::spawn(async move { pipe(stream, &container).await.ok() });
    }
}

// One connection of Copa's, carried by `buildctl dial-stdio` in the container.
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
