//! A cluster that the user gave by `KUBECONFIG`: it is used in place of a node of ours, and `down` takes back what was
//! put into it.

use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::serve::NODE_IDENTITY;
use super::{HOST_ADDRESS, LOGIN_SERVER, kubernetes, registry_authority};
use crate::setup::command::{command, output, run};
use crate::{paths, say};

/// As long as the deployment's token lives.
const LIFE: &str = "--duration=12h";
const ACCOUNT: &str = "seaworthy-deployer";

/// The access file, if there is such a cluster. Our own node's, as `status` shows it, is not that.
pub(super) fn cluster() -> Option<PathBuf> {
    let given = std::env::var_os("KUBECONFIG").filter(|given| !given.is_empty());
    // `down` may be called from another folder.
    let given = given.and_then(|given| std::path::absolute(given).ok());
    given.filter(|given| *given != kubernetes::kubeconfig())
}

/// The access file of the one that was put to use and not yet left.
pub(super) fn used() -> Option<PathBuf> {
    noted().map(|(kubeconfig, _)| kubeconfig)
}

// The same, and the `kubectl` that reached it.
fn noted() -> Option<(PathBuf, String)> {
    let text = std::fs::read_to_string(note()).ok()?;
    let (kubeconfig, kubectl) = text.split_once('\n')?;
    Some((kubeconfig.into(), kubectl.to_owned()))
}

// Which cluster has something of ours.
fn note() -> PathBuf {
    paths::state().join("given-cluster")
}

fn tokens() -> PathBuf {
    paths::state().join("given-cluster-tokens")
}

fn manifests() -> [PathBuf; 2] {
    let folder = paths::root().join("tools/kubernetes");
    ["deployer.yaml", "account.yaml"].map(|name| folder.join(name))
}

/// Give the deployment's identity its rights in the cluster of `kubeconfig`, say what its nodes need, and return the
/// file of a token that it takes.
///
/// # Errors
/// When the cluster does not answer, or whoever gave it may not do that.
pub(super) fn adopt(binaries: &Path, kubeconfig: &Path) -> anyhow::Result<PathBuf> {
    let name = kubeconfig.display();
    let kubectl = binaries.join("kubectl");
    let kubectl = kubectl.to_string_lossy();
    std::fs::write(note(), format!("{name}\n{kubectl}"))?;
    let ask = |args: &[&str]| {
        let mut ask = command(&kubectl, ["--kubeconfig"]);
        ask.arg(kubeconfig).args(args);
        ask
    };
    let token = say::step(&format!("using the cluster of `{name}`"), || {
        for manifest in manifests() {
            let apply = ["apply", "--server-side", "--filename"];
            run(ask(&apply).arg(manifest))?;
        }
        let create = ["create", "token", ACCOUNT, "--namespace=default", LIFE];
        output(&mut ask(&create))
    });
    let token = token.context("while giving the deployment its rights there")?;
    let mut needs = String::from("  its nodes must be able to pull:");
    for (what, value) in [
        ("from", format!("https://{LOGIN_SERVER}, at {HOST_ADDRESS}")),
        ("authority", registry_authority().display().to_string()),
        ("user", NODE_IDENTITY.0.to_owned()),
        ("password", NODE_IDENTITY.1.to_owned()),
    ] {
        // Writing into a text does not fail.
        let _ = write!(needs, "\n    {what:<10} {value}");
    }
    say::line(needs);
    keep(token.trim())
}

// In a file of its own for each token, so that whoever was started with another one is started anew.
fn keep(token: &str) -> anyhow::Result<PathBuf> {
    let folder = tokens();
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).context("while removing the last token")?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let file = folder.join(paths::key_of_text(token));
    std::fs::write(&file, token).context("while keeping the cluster's token")?;
    Ok(file)
}

/// Take back what was put into the cluster. It is tried once: a cluster that is gone for good must not keep the rest up.
///
/// # Errors
/// When it does not answer; the error says what is left there.
pub(super) fn leave() -> anyhow::Result<()> {
    let Some((kubeconfig, kubectl)) = noted() else {
        return Ok(());
    };
    std::fs::remove_file(note()).context("while noting that the cluster was left")?;
    let mut delete = command(&kubectl, ["delete", "--ignore-not-found"]);
    for manifest in manifests() {
        delete.arg("--filename").arg(manifest);
    }
    let deleted = run(delete.arg("--kubeconfig").arg(&kubeconfig));
    deleted.with_context(|| {
        let name = kubeconfig.display();
        format!(
            "the account and the role `{ACCOUNT}` are still in the cluster of `{name}`: take them out there, and call `down` again"
        )
    })
}
