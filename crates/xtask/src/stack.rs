//! The local stand-ins: what `up` starts, and `down` undoes.
//!
//! Everything has one fixed name or place on the machine (process files in the state folder, the
//! network namespace, the marked line in `/etc/hosts` …), so `down` finds it whatever became of `up`.

mod docker;
mod firewall;
mod given;
mod host;
mod kubernetes;
mod load_balancer;
mod process;
mod registry;
mod serve;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::setup::go_tools::Builds;
use crate::setup::{apt, base_images, disk, trivy_db};
use crate::{paths, say};

pub(crate) use registry::password as registry_password;
pub(crate) use serve::{CLIENT, GITHUB_TOKEN, OIDC_REQUEST_TOKEN, SUBSCRIPTION, TENANT};

/// The stand-in for GitHub's REST API.
pub(crate) const GITHUB: &str = "127.0.0.1:7070";
/// The stand-in for Entra, Resource Manager and GitHub's OIDC issuer.
pub(crate) const AZURE: &str = "127.0.0.1:7071";
/// The registry behind the stand-in for Azure Container Registry.
const REGISTRY: &str = "127.0.0.1:7072";
/// The registry that mirrors the Trivy database, open to everybody on this machine.
pub(crate) const MIRROR: &str = "127.0.0.1:7073";
/// The name of the registry, as Azure gives it.
pub(crate) const LOGIN_SERVER: &str = "seaworthy.azurecr.io";
/// The host's end of the link to the node: the stand-in for the registry listens here.
const HOST_ADDRESS: &str = "10.77.0.1";
/// The node's end.
const NODE_ADDRESS: &str = "10.77.0.2";

/// What `up` brought about.
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
    let _turn = turn("stack")?;
    std::fs::create_dir_all(paths::state()).context("while making the state folder")?;
    host::save_settings()?;
    apt::install()?;
    let builds = Builds::start(None);
    docker::start()?;
    let origin = base_images::provide(&builds)?;
    host::prepare()?;
    registry::start()?;
    let given = given::cluster();
    let kubeconfig = given.clone().unwrap_or_else(kubernetes::kubeconfig);
    let token = match &given {
        Some(given) => Some(given::adopt(&builds.wait("kubernetes")?, given)?),
        None => None,
    };
    serve::start(&kubeconfig, token.as_deref())?;
    trivy_db::publish(&builds.wait("trivy-db")?, MIRROR)?;
    if given.is_none() {
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
            "the stand-ins need root (Docker, a network namespace): run this as root or with sudo -E"
        );
    }
    Ok(())
}

/// Wait until no other command works on `what`, and keep it until the result is dropped.
///
/// # Errors
/// When the cache can't be written.
pub(crate) fn turn(what: &str) -> anyhow::Result<File> {
    std::fs::create_dir_all(paths::cache()).context("while making the cache folder")?;
    let path = paths::cache().join(format!("{what}.lock"));
    let lock = File::create(path).context("while making a lock")?;
    if lock.try_lock().is_err() {
        say::line(format!(
            "  … waiting for another `cargo xtask` to finish with the {what}"
        ));
        lock.lock()
            .context("while waiting for another `cargo xtask`")?;
    }
    Ok(lock)
}

/// Stop everything, in the reverse order, and go on when a part fails: the parts left are named.
///
/// # Errors
/// When something is left.
pub(crate) fn down(purge: bool) -> anyhow::Result<()> {
    need_root()?;
    let _turn = turn("stack")?;
    let stays = given::leave().err();
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
    left.extend(stays.map(|e| format!("{e:#}")));
    left.extend(docker::stop().err().map(|e| format!("{e:#}")));
    left.extend(host::restore().err().map(|e| format!("{e:#}")));
    left.extend(
        process::all()?
            .into_iter()
            .map(|name| format!("{name} still runs")),
    );
    let mounted = kubernetes::mounts().into_iter();
    left.extend(mounted.map(|path| format!("`{}` is still mounted", path.display())));
    left.extend(host::left());
    // The state says what is to be undone: as long as something is, it stays.
    if !left.is_empty() {
        bail!("not everything is down: {}", left.join("; "));
    }
    remove(&paths::state())?;
    if purge {
        for part in ["tools", "base-images", "go-build"] {
            remove(&paths::cache().join(part))?;
        }
    }
    say::line(if purge {
        "✓ everything is down, and the images and tools that were made are gone"
    } else {
        "✓ everything is down; images and built tools are kept for the next time (`down --purge` removes them)"
    });
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("while removing `{}`", folder.display()))?;
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
        say::line("nothing runs; `cargo xtask up` starts the stand-ins");
    }
    for name in names {
        say::line(format!(
            "{} {name}",
            if process::is_alive(&name) {
                "✓"
            } else {
                "✗"
            }
        ));
    }
    if process::is_alive("serve") {
        say::line(format!(
            "GitHub     http://{GITHUB}/security shows the Security tab"
        ));
        say::line(format!("Azure      http://{AZURE}"));
        say::line(format!("registry   https://{LOGIN_SERVER}"));
        say::line(format!(
            "cluster    KUBECONFIG={}",
            given::used()
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
            say::line(name);
        }
        return Ok(());
    };
    let text = std::fs::read_to_string(process::log(name))
        .with_context(|| format!("there is no log of `{name}`: `cargo xtask logs` lists them"))?;
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(200)..] {
        say::line(line);
    }
    Ok(())
}

/// Run the servers that stand for GitHub and Azure, and the load balancer's controller, until SIGTERM.
///
/// # Errors
/// When a port is taken.
pub(crate) fn serve() -> anyhow::Result<()> {
    serve::run()
}

/// A file of the stand-in for Azure Container Registry: the certificate of its authority.
pub(crate) fn registry_authority() -> PathBuf {
    host::tls().join("ca.crt")
}

// What every client of this process signs and encrypts with: without it, building one panics.
fn install_tls() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client for this machine's own servers and Debian's archive.
pub(crate) fn http_client() -> anyhow::Result<reqwest::Client> {
    install_tls();
    reqwest::Client::builder()
        .build()
        .context("while preparing the HTTP client")
}
