//! Builds under way: the Go tools in one lane, the programs of this workspace in the other. Each compiler uses every
//! core by itself; two lanes keep the cores busy while one of them downloads or links.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail};

use super::{go_tools, programs, timings};
use crate::progress::{self, HEARTBEAT};

/// The Go tools that the pipeline needs, in the order of their builds: what something else waits for after its build
/// comes before what only the workflow needs.
pub const PIPELINE: &[&str] = &[
    "kubernetes",
    "kubernetes-pause",
    "cni",
    "buildkit",
    "trivy-db",
    "act",
    "trivy",
    "copa",
    "helm-template",
    "kustomize",
];
/// Those of the checks that need nothing else.
pub const CHECKS: &[&str] = &["actionlint", "kube-score", "kubeconform"];
/// Other projects' programs that judge what was made, and that take long to build: of `cargo xtask test --judges`.
pub const JUDGES: &[&str] = &["crane", "traefik"];

type Built = Result<PathBuf, String>;

/// Parts that are built one after the other.
#[derive(Clone, Copy)]
struct Lane<'a> {
    parts: &'a [&'static str],
    /// What an earlier run has built: those are there at once.
    built: fn(&str) -> Option<PathBuf>,
    /// Builds one part: the directory of its programs.
    build: fn(&str) -> anyhow::Result<PathBuf>,
    /// Once all of them are built.
    then: fn(),
}

/// The builds of a run.
pub struct Builds {
    parts: Vec<&'static str>,
    progress: Arc<Progress>,
    lanes: Vec<JoinHandle<()>>,
    started: Instant,
}

#[derive(Default)]
struct Progress {
    done: Mutex<BTreeMap<&'static str, Built>>,
    /// When the last of them was done.
    last: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Progress {
    // A builder that panicked leaves a map that is whole: entries are only ever added.
    fn done(&self) -> MutexGuard<'_, BTreeMap<&'static str, Built>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Builds {
    /// Start building what the cache does not have of the Go tools `tools` and the programs `programs`.
    pub fn start(tools: &[&'static str], programs: &[&'static str]) -> Self {
        go_tools::download(tools);
        Self::start_with(&[
            Lane {
                parts: tools,
                built: go_tools::built,
                build: go_tools::build,
                then: go_tools::forget_objects,
            },
            Lane {
                parts: programs,
                built: |_| None,
                build: programs::build,
                then: || {},
            },
        ])
    }

    fn start_with(lanes: &[Lane<'_>]) -> Self {
        let progress = Arc::new(Progress::default());
        let start = |lane: &Lane<'_>| {
            let Lane {
                parts,
                built,
                build,
                then,
            } = *lane;
            let (parts, shared) = (parts.to_vec(), Arc::clone(&progress));
            std::thread::spawn(move || {
                let mut failed = false;
                let (mut missing, mut there) = (Vec::new(), BTreeMap::new());
                for part in parts {
                    match built(part) {
                        Some(directory) => drop(there.insert(part, Ok(directory))),
                        None => missing.push(part),
                    }
                }
                shared.done().extend(there);
                shared.changed.notify_all();
                for part in missing {
                    let outcome = build(part).map_err(|e| format!("{e:#}"));
                    failed |= outcome.is_err();
                    shared.done().insert(part, outcome);
                    *shared.last() = Some(Instant::now());
                    shared.changed.notify_all();
                }
                if !failed {
                    then();
                }
            })
        };
        Self {
            lanes: lanes.iter().map(start).collect(),
            parts: lanes.iter().flat_map(|lane| lane.parts).copied().collect(),
            progress,
            started: Instant::now(),
        }
    }

    /// Whether `part` is there.
    pub fn has(&self, part: &str) -> bool {
        self.progress.done().get(part).is_some_and(Result::is_ok)
    }

    /// Wait for `part`, printing what is being built and how long that may take, and return the directory of its
    /// programs.
    ///
    /// # Errors
    /// When it could not be built, or is not among the parts.
    pub fn wait(&self, part: &str) -> anyhow::Result<PathBuf> {
        if !self.parts.contains(&part) {
            bail!("`{part}` is not being built");
        }
        let mut done = self.progress.done();
        let mut pause = HEARTBEAT;
        loop {
            if let Some(built) = done.get(part) {
                let built = built.clone().map_err(|e| anyhow!(e));
                return built.with_context(|| format!("failed to build `{part}`"));
            }
            let waited = self.progress.changed.wait_timeout(done, pause);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            done = after;
            let stopped = self.lanes.iter().all(JoinHandle::is_finished);
            if stopped && !done.contains_key(part) {
                bail!("the build of `{part}` has no result");
            }
            if timeout.timed_out() {
                pause = progress::longer(pause);
                let is_left = |part: &&&str| !done.contains_key(**part);
                let left: Vec<_> = self.parts.iter().filter(is_left).copied().collect();
                progress::line(format!(
                    "  … waiting for {part}; left to build: {}{}",
                    left.join(", "),
                    timings::time_left(&left, self.started, *self.progress.last())
                ));
            }
        }
    }

    /// Wait for all of them.
    ///
    /// # Errors
    /// With the first that could not be built.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.parts
            .iter()
            .try_for_each(|part| self.wait(part).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_part_can_be_waited_for_more_than_once() {
        let lane = |parts, build| Lane {
            parts,
            built: |part| (part == "kustomize").then(|| PathBuf::from("/built/before")),
            build,
            then: || {},
        };
        let builds = Builds::start_with(&[
            lane(&["act", "kustomize"], |_| Ok(PathBuf::from("/built/act"))),
            lane(&["copa"], |_| bail!("no space left")),
        ]);
        for _ in 0..2 {
            assert_eq!(builds.wait("act").unwrap(), Path::new("/built/act"));
            let error = format!("{:#}", builds.wait("copa").unwrap_err());
            assert_eq!(error, "failed to build `copa`: no space left");
        }
        assert!(builds.has("act") && !builds.has("copa"));
        let before = builds.wait("kustomize").unwrap();
        assert_eq!(before, Path::new("/built/before"));
        let error = builds.finish().unwrap_err().to_string();
        assert_eq!(error, "failed to build `copa`");
        let error = builds.wait("trivy").unwrap_err().to_string();
        assert_eq!(error, "`trivy` is not being built");
    }
}
