//! What the local services change on the host, and how it is restored: a network namespace and its link, a
//! line in `/etc/hosts`, a certificate for Docker, and a few kernel settings.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{HOST_ADDRESS, LOGIN_SERVER, NODE_ADDRESS};
use crate::paths;
use crate::setup::command::{command, output, run, succeeds};

/// The node's network namespace.
pub(super) const NAMESPACE: &str = "seaworthy";
const LINK: &str = "seaworthy0";
const MARK: &str = "# seaworthy";
/// Docker sets the last one, the kubelet the others.
const SETTINGS: &[&str] = &[
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
];

/// The certificates of the fake Azure Container Registry.
pub(crate) fn tls() -> PathBuf {
    paths::state().join("tls")
}

fn trust() -> PathBuf {
    Path::new("/etc/docker/certs.d").join(LOGIN_SERVER)
}

/// Make the node's network namespace and its link.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn prepare_link() -> anyhow::Result<()> {
    namespace().context("failed to make the node's network namespace")
}

/// Let Docker find the registry, and trust its certificate.
///
/// # Errors
/// With the change that failed.
pub(super) fn trust_registry() -> anyhow::Result<()> {
    let hosts = std::fs::read_to_string("/etc/hosts").context("failed to read /etc/hosts")?;
    if !hosts.lines().any(|line| line.ends_with(MARK)) {
        let line = format!("{HOST_ADDRESS} {LOGIN_SERVER} {MARK}\n");
        let gap = if hosts.is_empty() || hosts.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        std::fs::write("/etc/hosts", format!("{hosts}{gap}{line}"))
            .context("failed to write /etc/hosts")?;
    }
    std::fs::create_dir_all(trust())?;
    std::fs::copy(tls().join("ca.crt"), trust().join("ca.crt"))
        .context("failed to install the registry's CA certificate for Docker")?;
    Ok(())
}

/// Undo them.
///
/// # Errors
/// When `/etc/hosts` can't be written.
pub(super) fn restore() -> anyhow::Result<()> {
    let hosts = std::fs::read_to_string("/etc/hosts").context("failed to read /etc/hosts")?;
    let kept: Vec<_> = hosts.lines().filter(|line| !line.ends_with(MARK)).collect();
    if kept.len() != hosts.lines().count() {
        std::fs::write("/etc/hosts", kept.join("\n") + "\n")
            .context("failed to write /etc/hosts")?;
    }
    // What follows may be gone already.
    let _ = std::fs::remove_dir_all(trust());
    let _ = std::fs::remove_dir("/etc/docker/certs.d");
    remove_namespace();
    // `ip netns` mounts the directory on itself. Namespaces of others in it keep it in use, and the
    // removal fails, as it should.
    let directory = Path::new("/run/netns");
    let empty = directory
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_none());
    if empty && succeeds(&mut command("umount", [directory])) {
        let _ = std::fs::remove_dir(directory);
    }
    for (path, value) in saved_settings() {
        let _ = std::fs::write(path, value);
    }
    Ok(())
}

/// Messages about what is still there, or differs from before.
pub(super) fn left() -> Vec<String> {
    let mut left = Vec::new();
    if Path::new("/run/netns").join(NAMESPACE).exists() {
        left.push(format!(
            "the network namespace `{NAMESPACE}` is still there"
        ));
    }
    if Path::new("/sys/class/net").join(LINK).exists() {
        left.push(format!("the link `{LINK}` is still there"));
    }
    for (path, value) in saved_settings() {
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        if now.trim() != value {
            let (path, now) = (path.display(), now.trim());
            left.push(format!("`{path}` is {now}; it was {value} before"));
        }
    }
    left
}

// The settings that this machine has, as they were.
fn saved_settings() -> Vec<(PathBuf, String)> {
    let saved = std::fs::read_to_string(paths::state().join("settings")).unwrap_or_default();
    let pairs = saved.lines().filter_map(|line| line.split_once('='));
    pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (Path::new("/proc/sys").join(name), value.to_owned()))
        .collect()
}

/// Save the kernel's settings before anything is started, unless an earlier `up` did.
///
/// # Errors
/// When they can't be saved.
pub(super) fn save_settings() -> anyhow::Result<()> {
    let file = paths::state().join("settings");
    if file.is_file() {
        return Ok(());
    }
    let mut saved = String::new();
    for name in SETTINGS {
        let value = std::fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
        saved.push_str(&format!("{name}={}\n", value.trim()));
    }
    std::fs::write(file, saved).context("failed to save kernel settings")
}

fn namespace() -> anyhow::Result<()> {
    // The last thing that is made below: with it, everything is there.
    let route = output(&mut command(
        "ip",
        ["route", "show", "10.77.1.0/24", "dev", LINK],
    ));
    if route.is_ok_and(|route| !route.trim().is_empty()) {
        return Ok(());
    }
    // Processes in an incomplete one would have no network.
    super::kubernetes::stop();
    remove_namespace();
    let ip = |args: &str| run(&mut command("ip", args.split(' ')));
    let node = |args: &str| {
        run(&mut command(
            "ip",
            format!("-n {NAMESPACE} {args}").split(' '),
        ))
    };
    ip(&format!("netns add {NAMESPACE}"))?;
    ip(&format!(
        "link add {LINK} type veth peer name eth0 netns {NAMESPACE}"
    ))?;
    ip(&format!("addr add {HOST_ADDRESS}/24 dev {LINK}"))?;
    ip(&format!("link set {LINK} up"))?;
    node("link set lo up")?;
    node(&format!("addr add {NODE_ADDRESS}/24 dev eth0"))?;
    node("link set eth0 up")?;
    node(&format!("route add default via {HOST_ADDRESS}"))?;
    run(&mut inside("sysctl", &["-qw", "net.ipv4.ip_forward=1"]))?;
    // The load balancer's addresses lie behind the node.
    ip(&format!("route add 10.77.1.0/24 via {NODE_ADDRESS}"))
}

fn remove_namespace() {
    // Either may be gone already.
    succeeds(&mut command("ip", ["link", "del", LINK]));
    succeeds(&mut command("ip", ["netns", "del", NAMESPACE]));
}

/// A command in the node's network namespace. `ip netns exec` would mount `/sys` again, which hides the
/// control groups.
pub(super) fn inside(program: &str, args: &[&str]) -> std::process::Command {
    let mut command = command(
        "nsenter",
        [format!("--net=/run/netns/{NAMESPACE}"), program.to_owned()],
    );
    command.args(args);
    command
}
