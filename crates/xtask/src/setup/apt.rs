//! System packages.

use anyhow::{Context as _, bail};

use super::command::{command, run, succeeds};
use crate::say;

/// A package and what it is for.
const PACKAGES: &[(&str, &str)] = &[
    ("docker.io", "the container engine"),
    ("docker-registry", "stands for Azure Container Registry"),
    (
        "mmdebstrap",
        "makes the base images where no registry can be reached",
    ),
    ("etcd-server", "Kubernetes: the store"),
    ("containerd", "Kubernetes: runs the pods"),
    ("runc", "runs containers"),
    ("iproute2", "Kubernetes: the node's network namespace"),
    ("iptables", "Kubernetes: pods reach out"),
    ("nftables", "Kubernetes: services"),
    ("conntrack", "Kubernetes: services"),
    ("chromium", "the browser test of the application"),
    ("curl", "asks the application whether it is ready"),
    ("wrk", "the load test of the application"),
    ("ca-certificates", "whom to trust"),
];

/// Install the packages that are missing.
///
/// # Errors
/// When that needs rights that the user does not have, or a package cannot be installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(name, _)| !installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (name, purpose) in &missing {
        say::line(format!("  {name}: {purpose}"));
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let root = is_root()?;
    let sudo = succeeds(&mut command("sudo", ["-n", "true"]));
    if !root && !sudo {
        bail!(
            "system packages are missing, and installing them needs root: run `apt-get install {}` once",
            names.join(" ")
        );
    }
    say::step("installing system packages", || {
        let apt = |args: &[&str]| {
            let mut whole = vec!["apt-get"];
            whole.extend(args);
            let mut command = if root {
                command("apt-get", args)
            } else {
                command("sudo", whole)
            };
            run(command.env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(names);
        // Services that the packages bring are started by hand here, and only while they are needed.
        apt(&args)
    })
}

fn installed(name: &str) -> bool {
    let mut query = command(
        "dpkg-query",
        ["--show", "--showformat=${db:Status-Status}", name],
    );
    super::command::output(&mut query).is_ok_and(|status| status == "installed")
}

/// Whether the process runs as root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("while reading who we are")?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0"))
}
