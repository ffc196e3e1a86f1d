//! The local services: what `up` starts and `down` stops.
//!
//! Everything has one fixed name or path on the machine (process files in the state directory, the
//! network namespace, the marked line in `/etc/hosts` …), so `down` finds it even after an `up` that failed.

mod docker;
mod firewall;
mod host;
mod kubernetes;
mod load_balancer;
mod process;
mod registry;
mod serve;
mod user_cluster;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::setup::go_tools::Builds;
use crate::setup::{apt, base_images, disk, trivy_db};
use crate::{paths, progress};

pub(crate) use registry::password as registry_password;
pub(crate) use serve::{CLIENT, GITHUB_TOKEN, OIDC_REQUEST_TOKEN, SUBSCRIPTION, TENANT};

/// The fake GitHub API.
pub(crate) const GITHUB: &str = "127.0.0.1:7070";
/// The fake Entra, Resource Manager and GitHub OIDC issuer.
pub(crate) const AZURE: &str = "127.0.0.1:7071";
/// The registry behind the fake Azure Container Registry.
const REGISTRY: &str = "127.0.0.1:7072";
/// The registry that mirrors the Trivy database, open to every process on this machine.
pub(crate) const MIRROR: &str = "127.0.0.1:7073";
/// The name of the registry in Azure.
pub(crate) const LOGIN_SERVER: &str = "seaworthy.azurecr.io";
/// The host's end of the link to the node: the fake Azure Container Registry listens here.
const HOST_ADDRESS: &str = "10.77.0.1";
/// The node's end.
const NODE_ADDRESS: &str = "10.77.0.2";

/// The running services.
pub(crate) struct Stack {
    /// Where the base images came from.
    pub(crate) origin: base_images::Origin,
    /// The tools, built or being built.
    pub(crate) builds: Builds,
    /// Administrator's access to the cluster.
    pub(crate) kubeconfig: PathBuf,
}

/// Install what is missing and start what does not run.
///
/// # Errors
/// With the step that failed; `down` cleans up.
pub(crate) fn up() -> anyhow::Result<Stack> {
    need_root()?;
    disk::check()?;
    let _lock = lock("stack")?;
    std::fs::create_dir_all(paths::state()).context("failed to make the state directory")?;
    host::save_settings()?;
    apt::install()?;
    let builds = Builds::start(None);
    docker::start()?;
    let origin = base_images::provide(&builds)?;
    host::prepare()?;
    registry::start()?;
    let user_cluster = user_cluster::cluster();
    let kubeconfig = user_cluster.clone().unwrap_or_else(kubernetes::kubeconfig);
    let token = match &user_cluster {
        Some(cluster) => Some(user_cluster::adopt(&builds.wait("kubernetes")?, cluster)?),
        None => None,
    };
    serve::start(&kubeconfig, token.as_deref())?;
    trivy_db::publish(&builds.wait("trivy-db")?, MIRROR)?;
    if user_cluster.is_none() {
        let (binaries, plugins) = (builds.wait("kubernetes")?, builds.wait("cni")?);
        kubernetes::start(&binaries, &plugins)?;
    }
    Ok(Stack {
        origin,
        builds,
        kubeconfig,
    })
}

fn need_root() -> anyhow::Result<()> {
    if !apt::is_root()? {
        bail!(
            "the local services need root (Docker, a network namespace); run this as root or with `sudo -E`"
        );
    }
    Ok(())
}

/// Wait until no other command holds the lock of `what`, and hold it until the result is dropped.
///
/// # Errors
/// When the cache can't be written.
pub(crate) fn lock(what: &str) -> anyhow::Result<File> {
    std::fs::create_dir_all(paths::cache()).context("failed to make the cache directory")?;
    let path = paths::cache().join(format!("{what}.lock"));
    let file = File::create(path).context("failed to make a lock")?;
    if file.try_lock().is_err() {
        progress::line(format!(
            "  … waiting for another `cargo xtask` to finish with the {what}"
        ));
        file.lock()
            .context("failed to wait for another `cargo xtask`")?;
    }
    Ok(file)
}

/// Stop everything, in the reverse order, and continue when a part fails: the error lists what is left.
///
/// # Errors
/// When something is left.
pub(crate) fn down(purge: bool) -> anyhow::Result<()> {
    need_root()?;
    let _lock = lock("stack")?;
    let cluster = user_cluster::leave().err();
    kubernetes::stop();
    process::stop("serve");
    registry::stop();
    docker::remove_containers();
    let mut left: Vec<_> = docker::containers()
        .into_iter()
        .map(|id| format!("the container {id} is still there"))
        .collect();
    if purge {
        docker::remove_images();
        crate::release::purge();
    }
    left.extend(cluster.map(|e| format!("{e:#}")));
    left.extend(docker::stop().err().map(|e| format!("{e:#}")));
    left.extend(host::restore().err().map(|e| format!("{e:#}")));
    left.extend(
        process::all()?
            .into_iter()
            .map(|name| format!("{name} is still running")),
    );
    let mounted = kubernetes::mounts().into_iter();
    left.extend(mounted.map(|path| format!("`{}` is still mounted", path.display())));
    left.extend(host::left());
    // The state records what has to be restored: it stays until nothing is left.
    if !left.is_empty() {
        bail!("failed to stop everything: {}", left.join("; "));
    }
    remove(&paths::state())?;
    if purge {
        for part in ["tools", "base-images", "go-build"] {
            remove(&paths::cache().join(part))?;
        }
    }
    progress::line(if purge {
        "✓ everything is stopped, and the images and tools that were made are removed"
    } else {
        "✓ everything is stopped; images and built tools are kept (`down --purge` removes them)"
    });
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.is_dir() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("failed to remove `{}`", directory.display()))?;
    }
    Ok(())
}

/// Show what runs.
///
/// # Errors
/// When the state can't be read.
pub(crate) fn status() -> anyhow::Result<()> {
    let names = process::all()?;
    if names.is_empty() {
        progress::line("nothing is running; `cargo xtask up` starts the local services");
    }
    for name in names {
        progress::line(format!(
            "{} {name}",
            if process::is_alive(&name) {
                "✓"
            } else {
                "✗"
            }
        ));
    }
    if process::is_alive("serve") {
        progress::line(format!(
            "GitHub     http://{GITHUB}/security shows the Security tab"
        ));
        progress::line(format!("Azure      http://{AZURE}"));
        progress::line(format!("registry   https://{LOGIN_SERVER}"));
        progress::line(format!(
            "cluster    KUBECONFIG={}",
            user_cluster::used()
                .unwrap_or_else(kubernetes::kubeconfig)
                .display()
        ));
    }
    Ok(())
}

/// Show the end of a part's log, or the names of the parts.
///
/// # Errors
/// When there is no such part.
pub(crate) fn logs(name: Option<&str>) -> anyhow::Result<()> {
    let Some(name) = name else {
        for name in process::logs()? {
            progress::line(name);
        }
        return Ok(());
    };
    let text = std::fs::read_to_string(process::log(name))
        .with_context(|| format!("there is no log of `{name}`; `cargo xtask logs` lists them"))?;
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(200)..] {
        progress::line(line);
    }
    Ok(())
}

/// Run the fake GitHub and Azure, and the load balancer's controller, until SIGTERM.
///
/// # Errors
/// When a port is in use.
pub(crate) fn serve() -> anyhow::Result<()> {
    serve::run()
}

/// The CA certificate of the fake Azure Container Registry, a file.
pub(crate) fn registry_ca() -> PathBuf {
    host::tls().join("ca.crt")
}

// The TLS provider of every client of this process: without it, building one panics.
fn install_tls() {
    // An error means that a provider is installed already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client for the servers of this machine and Debian's archive.
pub(crate) fn http_client() -> anyhow::Result<reqwest::Client> {
    install_tls();
    reqwest::Client::builder()
        .build()
        .context("failed to prepare the HTTP client")
}
