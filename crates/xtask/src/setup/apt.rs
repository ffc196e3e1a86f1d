//! System packages.

use anyhow::{Context as _, bail};

use super::command::{command, run, succeeds};
use crate::say;

/// A package and what it is for.
type Package = (&'static str, &'static str);

const PACKAGES: &[Package] = &[
    ("docker.io", "Docker"),
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

/// Packages that are needed only where nothing else gives what they do: a command, and its arguments, that ends well
/// where something does.
const UNLESS: &[(Package, &[&str])] = &[
    (
        ("nodejs", "runs GitHub's parser of workflows"),
        &["node", "--version"],
    ),
    (
        ("npm", "installs tools of the checks"),
        &["npm", "--version"],
    ),
    (
        ("python3-venv", "installs tools of the checks"),
        &["python3", "-c", "import ensurepip"],
    ),
];

/// Docker's client, where it is a package of its own (since Debian 13).
const CLIENT: Package = ("docker-cli", "Docker's client");

/// Install the packages that are missing.
///
/// # Errors
/// When a package cannot be installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing = PACKAGES.iter().filter(|(name, _)| !installed(name));
    add(&missing.chain(not_given()).collect::<Vec<_>>())?;
    if !ends_well(&["docker", "--version"]) {
        add(&[&CLIENT])?;
    }
    Ok(())
}

/// Install those of them that the checks without Docker need.
///
/// # Errors
/// When a package cannot be installed.
pub(crate) fn install_for_checks() -> anyhow::Result<()> {
    add(&not_given().collect::<Vec<_>>())
}

fn not_given() -> impl Iterator<Item = &'static Package> {
    let missing = UNLESS.iter().filter(|(_, given)| !ends_well(given));
    missing.map(|(package, _)| package)
}

fn add(packages: &[&Package]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root()? {
        let names: Vec<_> = packages.iter().map(|(name, _)| *name).collect();
        bail!(
            "system packages are missing, and installing them needs root: run `apt-get install {}` once",
            names.join(" ")
        );
    }
    for (name, purpose) in packages {
        say::line(format!("  {name}: {purpose}"));
    }
    say::step("installing system packages", || {
        let apt = |args: &[&str]| {
            let mut apt = command("apt-get", args);
            run(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(packages.iter().map(|(name, _)| *name));
        // Services that the packages bring are started by hand here, and only while they are needed.
        apt(&args)
    })
}

fn ends_well(words: &[&str]) -> bool {
    let [program, args @ ..] = words else {
        return false;
    };
    succeeds(&mut command(program, args))
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
