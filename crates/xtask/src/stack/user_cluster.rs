//! A cluster from `KUBECONFIG`: it is used instead of the local node, and `down` removes what was added to it.

use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::serve::NODE_IDENTITY;
use super::{HOST_ADDRESS, LOGIN_SERVER, kubernetes, registry_ca};
use crate::setup::command::{command, output, run};
use crate::{paths, progress};

/// As long as the deployment's token lives.
const LIFE: &str = "--duration=12h";
const ACCOUNT: &str = "seaworthy-deployer";

/// The kubeconfig, if there is such a cluster. The local node's, as `status` prints it, does not count.
pub(super) fn cluster() -> Option<PathBuf> {
    let path = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty());
    // `down` may be called from another directory.
    let path = path.and_then(|path| std::path::absolute(path).ok());
    path.filter(|path| *path != kubernetes::kubeconfig())
}

/// The kubeconfig of the one in use.
pub(super) fn used() -> Option<PathBuf> {
    recorded().map(|(kubeconfig, _)| kubeconfig)
}

// The same, and the path of the `kubectl` for it.
fn recorded() -> Option<(PathBuf, String)> {
    let text = std::fs::read_to_string(record()).ok()?;
    let (kubeconfig, kubectl) = text.split_once('\n')?;
    Some((kubeconfig.into(), kubectl.to_owned()))
}

/// The `kubectl` in `PATH`, if there is one. The server accepts one that is a minor version older or newer, and what is
/// called here is older than that.
pub(super) fn kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join("kubectl"));
    found.into_iter().find(|program| program.is_file())
}

// Which cluster is in use.
fn record() -> PathBuf {
    paths::state().join("user-cluster")
}

fn tokens() -> PathBuf {
    paths::state().join("user-cluster-tokens")
}

fn manifests() -> [PathBuf; 2] {
    let directory = paths::root().join("tools/kubernetes");
    ["deployer.yaml", "account.yaml"].map(|name| directory.join(name))
}

/// Grant the deployment's identity its rights in the cluster of `kubeconfig`, print what its nodes need, and return the
/// file of a token for it.
///
/// # Errors
/// When the cluster does not respond, or the user of the kubeconfig has no permission.
pub(super) fn adopt(kubectl: &Path, kubeconfig: &Path) -> anyhow::Result<PathBuf> {
    let name = kubeconfig.display();
    progress::line(format!("  using `{}`", kubectl.display()));
    let kubectl = kubectl.to_string_lossy();
    std::fs::write(record(), format!("{name}\n{kubectl}"))?;
    let call = |args: &[&str]| {
        let mut call = command(&kubectl, ["--kubeconfig"]);
        call.arg(kubeconfig).args(args);
        call
    };
    let token = progress::step(&format!("using the cluster of `{name}`"), || {
        for manifest in manifests() {
            let apply = ["apply", "--server-side", "--filename"];
            run(call(&apply).arg(manifest))?;
        }
        let create = ["create", "token", ACCOUNT, "--namespace=default", LIFE];
        output(&mut call(&create))
    });
    let token = token.context("failed to grant the deployment its rights there")?;
    let mut needs = String::from("  its nodes must be able to pull:");
    for (what, value) in [
        ("from", format!("https://{LOGIN_SERVER}, at {HOST_ADDRESS}")),
        ("CA", registry_ca().display().to_string()),
        ("user", NODE_IDENTITY.0.to_owned()),
        ("password", NODE_IDENTITY.1.to_owned()),
    ] {
        // Writing into a text does not fail.
        let _ = write!(needs, "\n    {what:<10} {value}");
    }
    progress::line(needs);
    store(token.trim())
}

// One file for each token: a process that was started with another one is restarted then.
fn store(token: &str) -> anyhow::Result<PathBuf> {
    let directory = tokens();
    if directory.is_dir() {
        std::fs::remove_dir_all(&directory).context("failed to remove the last token")?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let file = directory.join(paths::key_of_text(token));
    std::fs::write(&file, token).context("failed to store the cluster's token")?;
    Ok(file)
}

/// Remove what was added to the cluster. There is one attempt: a cluster that is gone permanently must not keep `down`
/// from stopping the rest.
///
/// # Errors
/// When it does not respond; the error states what is left there.
pub(super) fn leave() -> anyhow::Result<()> {
    let Some((kubeconfig, kubectl)) = recorded() else {
        return Ok(());
    };
    std::fs::remove_file(record()).context("failed to record that the cluster is not in use")?;
    let mut delete = command(&kubectl, ["delete", "--ignore-not-found"]);
    for manifest in manifests() {
        delete.arg("--filename").arg(manifest);
    }
    let deleted = run(delete.arg("--kubeconfig").arg(&kubeconfig));
    deleted.with_context(|| {
        let name = kubeconfig.display();
        format!(
            "the account and the role `{ACCOUNT}` are still in the cluster of `{name}`: delete them there"
        )
    })
}
