//! The tools that are built from their Go modules: one directory each under `tools/`, one build each in
//! the cache.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail};

use super::command::{command, output, run};
use crate::paths;
use crate::progress::{self, HEARTBEAT};

/// The tools: the directory of the module, in the order in which they are needed.
const MODULES: &[&str] = &[
    "buildkit",
    "kubernetes-pause",
    "trivy-db",
    "cni",
    "kubernetes",
    "act",
    "actionlint",
    "kube-score",
    "kubeconform",
    "kustomize",
    "copa",
    "trivy",
];

type Built = Result<PathBuf, String>;

/// Builds under way, one thread for all: the Go compiler uses every core by itself.
pub(crate) struct Builds {
    modules: Vec<&'static str>,
    progress: Arc<Progress>,
    worker: JoinHandle<()>,
}

#[derive(Default)]
struct Progress {
    done: Mutex<BTreeMap<&'static str, Built>>,
    changed: Condvar,
}

impl Progress {
    // A builder that panicked leaves a map that is whole: entries are only ever added.
    fn done(&self) -> MutexGuard<'_, BTreeMap<&'static str, Built>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Builds {
    /// Start building what the cache does not have; `only` limits that to some modules.
    pub(crate) fn start(only: Option<&[&'static str]>) -> Self {
        Self::start_with(only.unwrap_or(MODULES).to_vec(), build)
    }

    fn start_with(
        modules: Vec<&'static str>,
        build: impl Fn(&str) -> anyhow::Result<PathBuf> + Send + 'static,
    ) -> Self {
        let progress = Arc::new(Progress::default());
        let (queue, shared) = (modules.clone(), Arc::clone(&progress));
        let all = modules.len() == MODULES.len();
        let worker = std::thread::spawn(move || {
            for module in queue {
                let outcome = build(module).map_err(|e| format!("{e:#}"));
                shared.done().insert(module, outcome);
                shared.changed.notify_all();
            }
            if all && shared.done().values().all(Result::is_ok) {
                forget_objects();
            }
        });
        Self {
            modules,
            progress,
            worker,
        }
    }

    /// Wait for `module`, printing that the build is running, and return the directory of its binaries.
    ///
    /// # Errors
    /// When it could not be built, or is not among the modules.
    pub(crate) fn wait(&self, module: &str) -> anyhow::Result<PathBuf> {
        if !self.modules.contains(&module) {
            bail!("`{module}` is not being built");
        }
        let started = Instant::now();
        let mut done = self.progress.done();
        let mut pause = HEARTBEAT;
        loop {
            if let Some(built) = done.get(module) {
                let built = built.clone().map_err(|e| anyhow!(e));
                return built.with_context(|| format!("failed to build `{module}`"));
            }
            let waited = self.progress.changed.wait_timeout(done, pause);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            done = after;
            if self.worker.is_finished() && !done.contains_key(module) {
                bail!("the build of `{module}` has no result");
            }
            if timeout.timed_out() {
                pause = progress::longer(pause);
                let seconds = started.elapsed().as_secs();
                let under_way = self.modules.iter().find(|m| !done.contains_key(*m));
                let under_way = under_way.copied().unwrap_or(module);
                progress::line(format!(
                    "  … waiting for {module}; building {under_way} ({seconds} s)"
                ));
            }
        }
    }

    /// Wait for all of them.
    ///
    /// # Errors
    /// With the first that could not be built.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        self.modules.iter().try_for_each(|m| self.wait(m).map(drop))
    }
}

/// The flags of one module, from its `build.env`: `PACKAGE`, `LDFLAGS`, `GOEXPERIMENT`.
fn flags(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = directory.join("build.env");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

// What a binary is made from. A module's directory has other files too: its data, another module.
fn is_source(name: &Path) -> bool {
    let top = name.components().count() == 1;
    top && (name.extension().is_some_and(|end| end == "go")
        || ["go.mod", "go.sum", "build.env"]
            .iter()
            .any(|known| name == Path::new(known)))
}

// What the compiler keeps, several gigabytes: only until every tool is built.
fn objects() -> PathBuf {
    paths::cache().join("go-build")
}

// Held shared by every build, and exclusively for the removal of what the compiler keeps.
fn objects_lock() -> anyhow::Result<File> {
    std::fs::create_dir_all(paths::cache())?;
    File::create(paths::cache().join("go-build.lock"))
        .context("failed to make the lock of the builds")
}

fn forget_objects() {
    if let Ok(lock) = objects_lock()
        && lock.try_lock().is_ok()
    {
        // A failure leaves files that the next build uses.
        let _ = std::fs::remove_dir_all(objects());
    }
}

fn build(module: &str) -> anyhow::Result<PathBuf> {
    let directory = match module {
        "kubernetes-pause" => paths::root().join("tools/kubernetes/pause"),
        name => paths::root().join("tools").join(name),
    };
    let version = output(&mut command("go", ["env", "GOVERSION"]))
        .context("Go is needed to build the tools")?;
    let key = paths::key_of(&directory, is_source, version.trim())?;
    let cache = paths::cache().join("tools").join(module);
    let target = cache.join(key);
    if target.is_dir() {
        return Ok(target);
    }
    // Another command may be building the same tool: the second one then finds it done.
    std::fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join("lock")).context("failed to make the build's lock")?;
    lock.lock().context("failed to wait for another build")?;
    if target.is_dir() {
        return Ok(target);
    }
    let flags = flags(&directory)?;
    let packages: Vec<_> = flags
        .get("PACKAGE")
        .map(|p| p.split_whitespace().collect())
        .unwrap_or_default();
    if packages.is_empty() {
        bail!("`{}/build.env` has no `PACKAGE`", directory.display());
    }
    let in_use = objects_lock()?;
    in_use
        .lock_shared()
        .context("failed to wait for another build")?;
    let started = Instant::now();
    progress::line(format!("  building {module} from its Go module"));
    let temporary = target.with_extension("part");
    std::fs::create_dir_all(&temporary)?;
    for package in &packages {
        // A tool that is one program has its own name; its package may end in `v5`.
        let name = match package.rsplit('/').next() {
            Some(last) if packages.len() > 1 => last,
            _ => module,
        };
        let mut go = command(
            "nice",
            [
                "-n",
                "5",
                "go",
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
            ],
        );
        go.arg(flags.get("LDFLAGS").map_or("-s -w", String::as_str));
        go.arg("-o")
            .arg(temporary.join(name))
            .arg(package)
            .current_dir(&directory);
        go.env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOCACHE", objects());
        if let Some(experiment) = flags.get("GOEXPERIMENT").filter(|value| !value.is_empty()) {
            go.env("GOEXPERIMENT", experiment);
        }
        run(&mut go)?;
    }
    std::fs::rename(&temporary, &target)?;
    progress::line(format!(
        "✓ {module} built ({:.0} s)",
        started.elapsed().as_secs_f64()
    ));
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_can_be_waited_for_more_than_once() {
        let builds = Builds::start_with(vec!["act", "copa"], |module| match module {
            "act" => Ok(PathBuf::from("/built/act")),
            _ => bail!("no space left"),
        });
        for _ in 0..2 {
            assert_eq!(builds.wait("act").unwrap(), Path::new("/built/act"));
            let error = format!("{:#}", builds.wait("copa").unwrap_err());
            assert_eq!(error, "failed to build `copa`: no space left");
        }
        let error = builds.finish().unwrap_err().to_string();
        assert_eq!(error, "failed to build `copa`");
        let error = builds.wait("trivy").unwrap_err().to_string();
        assert_eq!(error, "`trivy` is not being built");
    }

    #[test]
    fn only_the_sources_of_a_module_decide_on_a_build() {
        for (name, source) in [
            ("go.mod", true),
            ("go.sum", true),
            ("build.env", true),
            ("main.go", true),
            ("advisories.yaml", false),
            ("pause/main.go", false),
        ] {
            assert_eq!(is_source(Path::new(name)), source, "{name}");
        }
    }
}
