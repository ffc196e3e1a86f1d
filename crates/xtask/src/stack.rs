//! The local services: what `up` starts and `down` stops.
//!
//! Everything has one fixed name or path on the machine (process files in the state directory, the
//! network namespace, the marked line in `/etc/hosts` …), so `down` finds it even after an `up` that failed.

mod docker;
mod emulation;
mod firewall;
mod host;
mod inventory;
mod kubernetes;
pub(crate) mod process;
mod registry;
mod serve;
mod user_cluster;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::setup::builds::Builds;
use crate::setup::command::{command, run};
use crate::setup::programs::PROGRAMS;
use crate::setup::{apt, base_images, machine, trivy_db};
use crate::{paths, progress};

pub use docker::{RELEASE_VOLUME, RUN_LABEL};
pub(crate) use inventory::Inventory;
pub use kubernetes::{kubeconfig as local_kubeconfig, pki as cluster_pki};
pub use serve::{
    CLIENT, CLUSTER_TOKEN, GITHUB_TOKEN, NODE_IDENTITY, OIDC_REQUEST_TOKEN, SUBSCRIPTION, TENANT,
    TOKEN_FILE,
};

/// The fake GitHub API.
pub const GITHUB: &str = "127.0.0.1:7070";
/// The fake Entra, Resource Manager and GitHub OIDC issuer.
pub const AZURE: &str = "127.0.0.1:7071";
/// The registry behind the fake Azure Container Registry.
pub const REGISTRY: &str = "127.0.0.1:7072";
/// The registry that mirrors the Trivy database, open to every process on this machine.
pub const MIRROR: &str = "127.0.0.1:7073";
/// The name of the registry in Azure.
pub const LOGIN_SERVER: &str = "seaworthy.azurecr.io";
/// The host's end of the link to the node: the fake Azure Container Registry listens here.
pub const HOST_ADDRESS: &str = "10.77.0.1";
/// The node's end.
pub const NODE_ADDRESS: &str = "10.77.0.2";
/// The name of the node.
pub const NODE: &str = "seaworthy";

/// The services, running or about to.
pub struct Stack {
    /// Where the base images came from.
    pub origin: base_images::Origin,
    /// The tools and programs, built or being built.
    pub builds: Builds,
    /// Administrator's access to the cluster.
    pub kubeconfig: PathBuf,
    kubectl: Option<PathBuf>,
}

impl Stack {
    /// Start everything; the `builds` that nothing here needs go on.
    ///
    /// # Errors
    /// With the step that failed; `down` cleans up.
    pub fn start(builds: Builds) -> anyhow::Result<Self> {
        let stack = Self::begin(builds)?;
        stack.complete()?;
        Ok(stack)
    }

    /// Start what needs nothing but this workspace: Docker, registry, GitHub, Azure. The other `builds` go on meanwhile.
    ///
    /// # Errors
    /// With the step that failed; `down` cleans up.
    pub fn begin(builds: Builds) -> anyhow::Result<Self> {
        let _lock = lock("stack")?;
        std::fs::create_dir_all(paths::state()).context("failed to make the state directory")?;
        host::save_settings()?;
        let user_cluster = user_cluster::cluster();
        apt::install()?;
        docker::start()?;
        let origin = base_images::provide()?;
        let stack = Self {
            origin,
            builds,
            kubeconfig: user_cluster.clone().unwrap_or_else(kubernetes::kubeconfig),
            kubectl: user_cluster.as_ref().and_then(|_| user_cluster::kubectl()),
        };
        host::prepare_link()?;
        let services = stack.services()?;
        let mut certificates = command(&services.to_string_lossy(), ["certificates"]);
        run(certificates.env("SEAWORTHY_STATE", paths::state()))
            .context("failed to make the certificates")?;
        host::trust_registry()?;
        registry::start()?;
        let token = match &user_cluster {
            Some(cluster) => Some(user_cluster::adopt(&stack.kubectl()?, cluster)?),
            None => None,
        };
        serve::start(&services, &stack.kubeconfig, token.as_deref())?;
        Ok(stack)
    }

    /// Start the rest, as its tools are there: the node, the vulnerability database, the image of BuildKit.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn complete(&self) -> anyhow::Result<()> {
        let _lock = lock("stack")?;
        if user_cluster::used().is_none() {
            base_images::pause(&self.builds.wait("kubernetes-pause")?)?;
            let binaries = self.builds.wait("kubernetes")?;
            kubernetes::start(&binaries, &self.builds.wait("cni")?)?;
        }
        base_images::buildkit(self.origin, &self.builds)?;
        let writer = self.builds.wait("trivy-db")?;
        trivy_db::publish(&writer, &self.services()?, MIRROR)
    }

    /// Provide what only the tests need: an image for arm64, and what runs it.
    ///
    /// # Errors
    /// When one is unavailable.
    pub fn provide_arm64(&self) -> anyhow::Result<()> {
        let _lock = lock("stack")?;
        emulation::start()?;
        base_images::arm64()
    }

    /// The program of the local services.
    ///
    /// # Errors
    /// When it could not be compiled.
    pub fn services(&self) -> anyhow::Result<PathBuf> {
        Ok(self.builds.wait(PROGRAMS)?.join("local-services"))
    }

    /// The `kubectl` for the cluster.
    ///
    /// # Errors
    /// When it could not be built.
    pub fn kubectl(&self) -> anyhow::Result<PathBuf> {
        match &self.kubectl {
            Some(kubectl) => Ok(kubectl.clone()),
            None => Ok(self.builds.wait("kubernetes")?.join("kubectl")),
        }
    }

    /// A password for the registry, for an hour or so.
    ///
    /// # Errors
    /// When the fake Azure Container Registry issues none.
    pub(crate) fn registry_password(&self) -> anyhow::Result<String> {
        registry::password(&self.services()?)
    }
}

/// Start building the `tools`, as far as the cluster that is used needs them, and the programs of a run, after a check
/// that this machine can run them.
///
/// # Errors
/// Without root, or with too little space or memory.
pub fn build(tools: &[&'static str]) -> anyhow::Result<Builds> {
    need_root()?;
    machine::check()?;
    // A cluster that is there needs no node; without a `kubectl`, that of the node is built.
    let has_cluster = user_cluster::cluster().is_some() && user_cluster::kubectl().is_some();
    let of_node = ["kubernetes", "kubernetes-pause", "cni"];
    let is_needed = |tool: &&&str| !(has_cluster && of_node.contains(*tool));
    let tools: Vec<_> = tools.iter().filter(is_needed).copied().collect();
    Ok(Builds::start(&tools, &[PROGRAMS]))
}

/// Install what is missing and start what does not run; the `tools` that nothing here needs are still being built
/// when it returns.
///
/// # Errors
/// With the step that failed; `down` cleans up.
pub fn up(tools: &[&'static str]) -> anyhow::Result<Stack> {
    build(tools).and_then(Stack::start)
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
/// When there can be no lock.
pub fn lock(what: &str) -> anyhow::Result<File> {
    let directory = paths::locks();
    std::fs::create_dir_all(&directory).context("failed to make the directory of the locks")?;
    let path = directory.join(format!("{what}.lock"));
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

/// Whether it was started and not stopped, or something was left.
pub(crate) fn is_up() -> bool {
    paths::state().exists()
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
        let images = docker::remove_images().into_iter();
        left.extend(images.map(|name| format!("the image {name} is in use")));
    }
    left.extend(cluster.map(|e| format!("{e:#}")));
    left.extend(docker::stop().err().map(|e| format!("{e:#}")));
    left.extend(emulation::stop().err().map(|e| format!("{e:#}")));
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
        paths::purge().context("failed to remove what is kept between runs")?;
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

/// The CA certificate of the fake Azure Container Registry, a file.
pub fn registry_ca() -> PathBuf {
    host::tls().join("ca.crt")
}

/// The certificates of the fake Azure Container Registry, a directory.
pub fn registry_tls() -> PathBuf {
    host::tls()
}
