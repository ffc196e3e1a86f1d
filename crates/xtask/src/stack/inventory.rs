//! What is on the machine that a run may change: compared before the local services start and after they are stopped.

use std::collections::BTreeMap;
use std::path::Path;

use super::firewall;
use crate::setup::command::{command, output};

/// Directories whose files are listed, with their sizes and times. Docker's own data stays: the images are kept.
const FILES: &[&str] = &[
    "/etc",
    "/var/lib/seaworthy",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/opt/cni",
    "/run/netns",
];
/// Kernel settings below `/proc/sys`.
const SETTINGS: &[&str] = &["kernel", "net", "vm"];
/// Settings that change by themselves.
const VOLATILE: &[&str] = &[
    "kernel/ns_last_pid",
    "kernel/random/",
    "kernel/pty/nr",
    "kernel/perf_event_max_sample_rate",
    "net/netfilter/nf_conntrack_count",
];

/// A line for each thing, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inventory(BTreeMap<String, String>);

impl Inventory {
    /// What is there now. What can't be read is not there.
    pub(crate) fn take() -> Self {
        let mut all = BTreeMap::new();
        processes(&mut all);
        mounts(&mut all);
        links(&mut all);
        settings(&mut all);
        files(&mut all);
        rules(&mut all);
        Self(all)
    }

    /// A message for each thing that is `after` and was not here, or that is not what it was, or is gone.
    pub(crate) fn differences(&self, after: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (thing, now) in &after.0 {
            match self.0.get(thing) {
                None => differences.push(format!("{thing} is new")),
                Some(before) if before != now => {
                    differences.push(format!("{thing} is `{now}`; it was `{before}`"));
                }
                Some(_) => {}
            }
        }
        let gone = self.0.keys().filter(|thing| !after.0.contains_key(*thing));
        // A process may end by itself.
        let gone = gone.filter(|thing| !thing.starts_with("process "));
        // The rules of a Docker that was killed before the run: the one that was started replaced them, and took them along.
        let docker_runs = after.0.contains_key("process dockerd");
        let stale = |thing: &str| thing.starts_with("rule ") && firewall::is_of_docker(thing);
        let gone = gone.filter(|thing| docker_runs || !stale(thing));
        differences.extend(gone.map(|thing| format!("{thing} is gone")));
        differences
    }
}

// By name: a process that is started again is the same service.
fn processes(all: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry.file_name().to_string_lossy().parse::<i32>().is_ok();
        // The kernel's own have no program.
        let has_program = std::fs::read_link(entry.path().join("exe")).is_ok();
        if is_process
            && has_program
            && let Ok(name) = std::fs::read_to_string(entry.path().join("comm"))
        {
            all.insert(format!("process {}", name.trim()), String::new());
        }
    }
}

fn mounts(all: &mut BTreeMap<String, String>) {
    let text = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(target), Some(kind)) = (words.next(), words.next()) {
            all.insert(format!("mount {target}"), kind.to_owned());
        }
    }
}

fn links(all: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        all.insert(format!("link {name}"), String::new());
    }
}

fn settings(all: &mut BTreeMap<String, String>) {
    for group in SETTINGS {
        let directory = Path::new("/proc/sys").join(group);
        for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
            let name = entry
                .path()
                .strip_prefix("/proc/sys")
                .unwrap_or(entry.path());
            let name = name.to_string_lossy().into_owned();
            let is_volatile = VOLATILE.iter().any(|start| name.starts_with(start));
            if entry.file_type().is_file()
                && !is_volatile
                && let Ok(value) = std::fs::read_to_string(entry.path())
            {
                all.insert(format!("setting {name}"), value.trim().to_owned());
            }
        }
    }
}

fn files(all: &mut BTreeMap<String, String>) {
    for directory in FILES {
        for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
            let about = entry.metadata().ok().filter(std::fs::Metadata::is_file);
            // A file that is written with the same content is the same.
            let content = about.and_then(|_| std::fs::read(entry.path()).ok());
            let content = content.map(|bytes| crate::paths::key_of_text(&bytes));
            let path = entry.path().display();
            all.insert(format!("file {path}"), content.unwrap_or_default());
        }
    }
}

// Of the firewall; packet counters are comments or in brackets.
fn rules(all: &mut BTreeMap<String, String>) {
    for program in ["iptables-save", "ip6tables-save"] {
        let text = output(&mut command::<&str>(program, [])).unwrap_or_default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let line = line.split(" [").next().unwrap_or_default();
            all.insert(format!("rule {program} {line}"), String::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(pairs: &[(&str, &str)]) -> Inventory {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Inventory(owned.collect())
    }

    #[test]
    fn the_rules_of_a_docker_that_was_killed_before_may_go() {
        let chain = "rule iptables-save :DOCKER-USER -";
        let killed = inventory(&[(chain, ""), ("rule iptables-save -A INPUT -j DROP", "")]);
        assert_eq!(
            killed.differences(&inventory(&[])),
            ["rule iptables-save -A INPUT -j DROP is gone"]
        );
        let running = inventory(&[(chain, ""), ("process dockerd", "")]);
        assert_eq!(
            running.differences(&inventory(&[("process dockerd", "")])),
            [format!("{chain} is gone")]
        );
    }

    #[test]
    fn a_difference_says_what_is_new_other_or_gone() {
        let before = inventory(&[
            ("link lo", ""),
            ("setting a", "0"),
            ("mount /x", "tmpfs"),
            ("process sh", ""),
        ]);
        let after = inventory(&[("link lo", ""), ("setting a", "1"), ("link docker0", "")]);
        assert_eq!(
            before.differences(&after),
            [
                "link docker0 is new",
                "setting a is `1`; it was `0`",
                "mount /x is gone"
            ]
        );
        assert!(before.differences(&before).is_empty());
    }
}
