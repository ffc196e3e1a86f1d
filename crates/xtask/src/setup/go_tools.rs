//! The tools that are built from their Go modules: one folder each under `tools/`, one build each in
//! the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow, bail};

use super::command::{command, output, run};
use crate::{paths, say};

/// The tools: the folder of the module, in the order in which they are needed.
const MODULES: &[&str] = &[
    "act",
    "actionlint",
    "cni",
    "copa",
    "trivy-db",
    "buildkit",
    "kubernetes-pause",
    "trivy",
    "kubernetes",
];

/// Builds under way, one thread for all: the Go compiler uses every core by itself.
pub(crate) struct Builds {
    ready: BTreeMap<&'static str, std::sync::mpsc::Receiver<Result<PathBuf, String>>>,
    _worker: JoinHandle<()>,
}

impl Builds {
    /// Start building what the cache does not have; `only` limits that to some modules.
    pub(crate) fn start(only: Option<&[&'static str]>) -> Self {
        let mut ready = BTreeMap::new();
        let mut work = Vec::new();
        for module in MODULES
            .iter()
            .copied()
            .filter(|m| only.is_none_or(|only| only.contains(m)))
        {
            let (done, waiting) = std::sync::mpsc::channel();
            ready.insert(module, waiting);
            work.push((module, done));
        }
        let worker = std::thread::spawn(move || {
            for (module, done) in work {
                let built = build(module).map_err(|e| format!("{e:#}"));
                // Nobody waits for it any more: nothing is lost.
                let _ = done.send(built);
            }
        });
        Self {
            ready,
            _worker: worker,
        }
    }

    /// Wait for `module`, and return the folder of its binaries.
    ///
    /// # Errors
    /// When it could not be built.
    pub(crate) fn wait(&self, module: &str) -> anyhow::Result<PathBuf> {
        let waiting = self
            .ready
            .get(module)
            .with_context(|| format!("`{module}` is not being built"))?;
        let built = waiting
            .recv()
            .map_err(|_| anyhow!("the build of `{module}` ended without a result"))?;
        built.map_err(|e| anyhow!(e).context(format!("while building `{module}`")))
    }
}

/// The flags of one module, from its `build.env`: `PACKAGE`, `LDFLAGS`, `GOEXPERIMENT`.
fn flags(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = folder.join("build.env");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("while reading `{}`", path.display()))?;
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

fn build(module: &str) -> anyhow::Result<PathBuf> {
    let folder = match module {
        "kubernetes-pause" => paths::root().join("tools/kubernetes/pause"),
        name => paths::root().join("tools").join(name),
    };
    let version = output(&mut command("go", ["env", "GOVERSION"]))
        .context("Go is needed to build the tools")?;
    let key = paths::key(&folder, version.trim())?;
    let target = paths::cache().join("tools").join(module).join(key);
    if target.is_dir() {
        return Ok(target);
    }
    let flags = flags(&folder)?;
    let packages: Vec<_> = flags
        .get("PACKAGE")
        .map(|p| p.split_whitespace().collect())
        .unwrap_or_default();
    if packages.is_empty() {
        bail!("`{}/build.env` names no package", folder.display());
    }
    let begun = std::time::Instant::now();
    say::line(format!("  building {module} from its Go module"));
    let temporary = target.with_extension("part");
    std::fs::create_dir_all(&temporary)?;
    for package in packages {
        let name = package.rsplit('/').next().unwrap_or(package);
        let name = match name {
            "." => module,
            "copacetic" => "copa",
            name => name,
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
            .current_dir(&folder);
        go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
        if let Some(experiment) = flags.get("GOEXPERIMENT").filter(|value| !value.is_empty()) {
            go.env("GOEXPERIMENT", experiment);
        }
        run(&mut go)?;
    }
    std::fs::rename(&temporary, &target)?;
    say::line(format!(
        "✓ {module} built ({:.0} s)",
        begun.elapsed().as_secs_f64()
    ));
    Ok(target)
}
