//! System packages.

use std::time::Instant;

use anyhow::{Context as _, bail};

use super::command::{command, measured, succeeds};
use super::timings::{self, Cost};
use crate::progress;

/// A package and what it is for.
type Package = (&'static str, &'static str);

const PACKAGES: &[Package] = &[
    ("docker.io", "Docker"),
    (
        "docker-registry",
        "behind the fake Azure Container Registry",
    ),
    (
        "mmdebstrap",
        "makes the base images where no registry can be reached",
    ),
    ("arch-test", "lets mmdebstrap make the image for arm64"),
    ("qemu-user-static", "runs the programs of that image"),
    ("etcd-server", "Kubernetes: the store"),
    ("containerd", "Kubernetes: runs the pods"),
    ("runc", "runs containers"),
    ("iproute2", "Kubernetes: the node's network namespace"),
    ("iptables", "Kubernetes: outgoing traffic of pods"),
    ("nftables", "Kubernetes: services"),
    ("conntrack", "Kubernetes: services"),
    ("chromium", "the browser test of the application"),
    ("curl", "requests of the local services"),
    ("wrk", "the load test of the application"),
    ("ca-certificates", "the CA certificates"),
];

/// Packages that are needed only where nothing else provides the same: a command that exits with 0 where something
/// does.
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

/// Docker's client, where it is a separate package (since Debian 13).
const CLIENT: Package = ("docker-cli", "Docker's client");

/// Install the packages that are missing.
///
/// # Errors
/// When a package cannot be installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing = PACKAGES.iter().filter(|(name, _)| !installed(name));
    add(&missing.chain(not_provided()).collect::<Vec<_>>())?;
    if !has(&["docker", "--version"]) {
        add(&[&CLIENT])?;
    }
    Ok(())
}

/// Install those of them that the checks without Docker need.
///
/// # Errors
/// When a package cannot be installed.
pub(crate) fn install_for_checks() -> anyhow::Result<()> {
    add(&not_provided().collect::<Vec<_>>())
}

fn not_provided() -> impl Iterator<Item = &'static Package> {
    let missing = UNLESS.iter().filter(|(_, probe)| !has(probe));
    missing.map(|(package, _)| package)
}

fn add(packages: &[&Package]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root()? {
        let names: Vec<_> = packages.iter().map(|(name, _)| *name).collect();
        bail!(
            "system packages are missing, and installing them needs root; run `apt-get install {}` once",
            names.join(" ")
        );
    }
    for (name, purpose) in packages {
        progress::line(format!("  {name}: {purpose}"));
    }
    progress::step("installing system packages", || {
        let apt = |args: &[&str]| {
            let mut apt = command("apt-get", args);
            let measured = measured(apt.env("DEBIAN_FRONTEND", "noninteractive"));
            measured.map(|(_, cpu)| cpu)
        };
        let started = Instant::now();
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(packages.iter().map(|(name, _)| *name));
        let mut cpu = apt(&["update", "-qq"])?;
        cpu += apt(&[&args[..], &["--download-only"]].concat())?;
        let network = started.elapsed().as_secs_f64();
        // Services of the packages are started explicitly, and only while they are needed.
        cpu += apt(&args)?;
        let wall = started.elapsed().as_secs_f64();
        timings::record(
            "system packages",
            Cost {
                wall,
                cpu: Some(cpu),
                network,
            },
        );
        Ok(())
    })
}

fn has(words: &[&str]) -> bool {
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
        std::fs::read_to_string("/proc/self/status").context("failed to read the user id")?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0"))
}
