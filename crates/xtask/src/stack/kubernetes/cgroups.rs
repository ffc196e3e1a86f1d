//! The control groups of the node's pods: below one group, so that they are separate from the pods of
//! another node on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// The group in the kubelet's configuration.
pub(super) const ROOT: &str = "/seaworthy";
const MOUNT: &str = "/sys/fs/cgroup";
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

// Where the hierarchies are: one (version 2), or one for each controller (version 1).
fn hierarchies() -> Vec<PathBuf> {
    let mount = Path::new(MOUNT);
    if mount.join("cgroup.controllers").is_file() {
        return vec![mount.to_owned()];
    }
    let entries = std::fs::read_dir(mount).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

fn group_in(hierarchy: &Path) -> PathBuf {
    hierarchy.join(ROOT.trim_start_matches('/'))
}

/// Make the group; the kubelet makes those below.
///
/// # Errors
/// When the kernel rejects it.
pub(super) fn prepare() -> anyhow::Result<()> {
    for hierarchy in hierarchies() {
        // Version 2 delegates controllers only on request.
        if let Ok(controllers) = std::fs::read_to_string(hierarchy.join("cgroup.controllers")) {
            for controller in controllers.split_whitespace() {
                // One that can't be delegated is skipped, as the kubelet does.
                let _ = std::fs::write(
                    hierarchy.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                );
            }
        }
        let group = group_in(&hierarchy);
        std::fs::create_dir_all(&group)
            .with_context(|| format!("failed to make `{}`", group.display()))?;
    }
    Ok(())
}

/// Kill what still runs in the groups, and the helpers of containerd that talk to `socket`: they
/// outlive a containerd that was killed.
pub(super) fn kill(socket: &str) {
    let started = Instant::now();
    loop {
        let mut left = helpers(socket);
        for hierarchy in hierarchies() {
            left.extend(members(&group_in(&hierarchy)));
        }
        if left.is_empty() || started.elapsed() > KILL_TIMEOUT {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may be gone by now, which is fine.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Remove the node's groups; empty ones of the kubelet stay behind otherwise.
pub(super) fn remove() {
    remove_empty(ROOT.trim_start_matches('/'));
}

/// Remove what is empty of the group `name`.
pub(in crate::stack) fn remove_empty(name: &str) {
    for hierarchy in hierarchies() {
        for entry in directories(&hierarchy.join(name)) {
            let _ = std::fs::remove_dir(entry);
        }
    }
}

// The deepest first.
fn directories(group: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = walkdir::WalkDir::new(group)
        .contents_first(true)
        .into_iter();
    let directories = entries.flatten().filter(|entry| entry.file_type().is_dir());
    directories.map(walkdir::DirEntry::into_path)
}

fn members(group: &Path) -> BTreeSet<i32> {
    let read = |group: PathBuf| std::fs::read_to_string(group.join("cgroup.procs")).ok();
    let texts: Vec<_> = directories(group).filter_map(read).collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.parse().ok())
        .collect()
}

fn helpers(socket: &str) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next().unwrap_or_default();
        if program.ends_with(b"containerd-shim-runc-v2") && words.any(|w| w == socket.as_bytes()) {
            pids.insert(pid);
        }
    }
    pids
}
