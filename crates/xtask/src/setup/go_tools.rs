//! The tools that are built from their Go modules: one directory each under `tools/`, one build each in
//! the cache.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::command::{command, measured, output};
use super::machine;
use super::replaced;
use super::timings::{self, Cost};
use crate::{paths, progress};

/// What the Go compiler may keep of its garbage, in percent of what it uses, where memory is plenty: with the default of
/// 100 a fifth of its time is collection (`GOGC`, pkg.go.dev/runtime).
const GARBAGE: &str = "800";

/// Download the modules of those of `tools` that have to be built, one after the other, in the background: the modules
/// of the next one arrive while this one is compiled. A failure is the build's to report.
pub(super) fn download(tools: &[&'static str]) {
    let tools = tools.to_vec();
    std::thread::spawn(move || {
        for tool in tools {
            if let Ok(module) = Module::find(tool)
                && !module.target.is_dir()
            {
                let _ = module.download();
            }
        }
    });
}

/// The directory of the programs of `tool`, if the cache has them.
pub(super) fn built(tool: &str) -> Option<PathBuf> {
    let module = Module::find(tool).ok()?;
    module.target.is_dir().then_some(module.target)
}

/// The directory of the programs of `tool`, built if the cache does not have them.
///
/// # Errors
/// With the end of what the compiler printed.
pub(super) fn build(tool: &str) -> anyhow::Result<PathBuf> {
    let module = Module::find(tool)?;
    if module.target.is_dir() {
        return Ok(module.target);
    }
    if let Some(program) = module.in_path() {
        progress::line(format!("  using `{}` from PATH", program.display()));
        return Ok(program.parent().unwrap_or(&program).to_owned());
    }
    // Another command may be building the same tool: the second one then finds it done.
    let cache = module.target.parent().unwrap_or(&module.target);
    std::fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("lock")).context("failed to make the build's lock")?;
    lock.lock().context("failed to wait for another build")?;
    if !module.target.is_dir() {
        module.build()?;
    }
    Ok(module.target)
}

/// The directory of the sources of `module`, in the version that `tool` is built from.
///
/// # Errors
/// When it cannot be downloaded.
pub(crate) fn sources(tool: &str, module: &str) -> anyhow::Result<PathBuf> {
    let mut download = Module::find(tool)?.go(&["mod", "download", "-json", module]);
    let downloaded =
        output(&mut download).with_context(|| format!("failed to download the module {module}"))?;
    replaced::directory_of(&downloaded).map(PathBuf::from)
}

/// Remove what the compiler keeps, several gigabytes, unless another command is building.
pub(crate) fn forget_objects() {
    if let Ok(lock) = objects_lock()
        && lock.try_lock().is_ok()
    {
        // A failure leaves files that the next build uses.
        let _ = std::fs::remove_dir_all(objects());
    }
}

fn objects() -> PathBuf {
    paths::cache().join("go-build")
}

// Held shared by every build, and exclusively for the removal of what the compiler keeps.
fn objects_lock() -> anyhow::Result<File> {
    std::fs::create_dir_all(paths::cache())?;
    File::create(paths::cache().join("go-build.lock"))
        .context("failed to make the lock of the builds")
}

struct Module {
    name: String,
    directory: PathBuf,
    /// From its `build.env`: `PACKAGE`, `LDFLAGS`, `GOEXPERIMENT`, `NAMES`, `REPLACE`.
    settings: BTreeMap<String, String>,
    /// Where its programs are once they are built.
    target: PathBuf,
}

impl Module {
    fn find(name: &str) -> anyhow::Result<Self> {
        let directory = match name {
            "kubernetes-pause" => paths::root().join("tools/kubernetes/pause"),
            name => paths::root().join("tools").join(name),
        };
        let flags = format!("{} {}", go_version()?, compiler_flags()?);
        let key = paths::key_of(&directory, is_source, &flags)?;
        let path = directory.join("build.env");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            settings: settings(&text),
            target: paths::cache().join("tools").join(name).join(key),
            directory,
        })
    }

    /// The program of this name in `PATH`, if it is of the version in `go.mod`, and static as the image needs it; only
    /// of a module whose `build.env` says how it prints its version (`PROBE`).
    fn in_path(&self) -> Option<PathBuf> {
        let probe = self.settings.get("PROBE")?;
        let path = std::env::var_os("PATH")?;
        let programs = std::env::split_paths(&path).map(|directory| directory.join(&self.name));
        let program = programs.into_iter().find(|program| program.is_file())?;
        let name = program.to_string_lossy();
        let printed = output(&mut command(&name, probe.split_whitespace())).ok()?;
        let go_mod = std::fs::read_to_string(self.directory.join("go.mod")).ok()?;
        let version = required(&go_mod, self.words("PACKAGE").first()?)?;
        let record = output(&mut command("go", ["version", "-m", &name])).ok()?;
        (has_version(&printed, version) && record.contains("CGO_ENABLED=0")).then_some(program)
    }

    fn words(&self, setting: &str) -> Vec<&str> {
        let value = self.settings.get(setting).map(String::as_str);
        value.unwrap_or_default().split_whitespace().collect()
    }

    fn go(&self, args: &[&str]) -> Command {
        // What people do on the machine meanwhile comes first.
        let mut go = command("nice", ["-n", "5", "go"]);
        go.args(args)
            .current_dir(&self.directory)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOCACHE", objects());
        if machine::has_plenty() {
            go.env("GOGC", GARBAGE);
        }
        if let [experiment] = self.words("GOEXPERIMENT")[..] {
            go.env("GOEXPERIMENT", experiment);
        }
        go
    }

    // Seconds that it took. The modules of its packages alone: `go mod download` would fetch those of all their tests too.
    fn download(&self) -> anyhow::Result<f64> {
        // One at a time; held until it is done, so that the build waits for a download in the background.
        static DONE: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seconds) = done.get(&self.name) {
            return Ok(*seconds);
        }
        let started = Instant::now();
        let mut list = self.go(&["list", "-deps", "-f", "{{/**/}}"]);
        list.args(self.replaced()?);
        measured(list.args(self.words("PACKAGE")))?;
        let seconds = started.elapsed().as_secs_f64();
        done.insert(self.name.clone(), seconds);
        Ok(seconds)
    }

    // The argument with which one file of another module is replaced by one of this directory, if that is requested.
    fn replaced(&self) -> anyhow::Result<Option<String>> {
        let [module, file, own] = self.words("REPLACE")[..] else {
            return Ok(None);
        };
        let mut download = self.go(&["mod", "download", "-json", module]);
        let downloaded = output(&mut download)?;
        let own = self.directory.join(own);
        let copy = self.target.with_extension("modules");
        replaced::module(&self.directory, &downloaded, module, (file, &own), &copy).map(Some)
    }

    fn build(&self) -> anyhow::Result<()> {
        let packages = self.words("PACKAGE");
        if packages.is_empty() {
            bail!("`{}/build.env` has no `PACKAGE`", self.directory.display());
        }
        let in_use = objects_lock()?;
        in_use
            .lock_shared()
            .context("failed to wait for another build")?;
        let name = &self.name;
        progress::line(format!("  building {name} from its Go module"));
        let network = self.download()?;
        let started = Instant::now();
        let temporary = self.target.with_extension("part");
        // Left by a build that was killed.
        if temporary.is_dir() {
            std::fs::remove_dir_all(&temporary)?;
        }
        std::fs::create_dir_all(&temporary)?;
        let out = match packages[..] {
            // A tool that is one program has its own name; its package may end in `v5`.
            [_] => temporary.join(name),
            // One command links what the packages share once into the cache, and names each program by its package.
            _ => temporary.join(""),
        };
        let flags = compiler_flags()?;
        let mut go = self.go(&["build", "-trimpath", "-buildvcs=false"]);
        go.args(self.replaced()?);
        go.arg(format!("-gcflags={flags}"))
            .arg("-ldflags")
            .arg(self.settings.get("LDFLAGS").map_or("-s -w", String::as_str))
            .arg("-o")
            .arg(out)
            .args(packages);
        let (_, cpu) = measured(&mut go)?;
        for link in self.words("NAMES") {
            std::os::unix::fs::symlink(name, temporary.join(link))?;
        }
        std::fs::rename(&temporary, &self.target)?;
        // It is not there for a tool that replaces nothing.
        let _ = std::fs::remove_dir_all(self.target.with_extension("modules"));
        let wall = started.elapsed().as_secs_f64();
        timings::record(
            name,
            Cost {
                wall: wall + network,
                cpu: Some(cpu),
                network,
            },
        );
        progress::line(format!("✓ {name} built ({wall:.0} s)"));
        Ok(())
    }
}

// The compiler's, as `go1.26.8`: a part of the key of every module.
fn go_version() -> anyhow::Result<String> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version.clone());
    }
    let version = output(&mut command("go", ["env", "GOVERSION"]))
        .context("Go is needed to build the tools")?;
    Ok(VERSION.get_or_init(|| version.trim().to_owned()).clone())
}

// The flags of every package's compilation, which `tools/build.sh` reads too: with the same ones, tools share what
// they have in common.
fn compiler_flags() -> anyhow::Result<String> {
    let path = paths::root().join("tools/compiler.env");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    settings(&text)
        .remove("GCFLAGS")
        .with_context(|| format!("`{}` has no `GCFLAGS`", path.display()))
}

// Lines of `NAME="value"`.
fn settings(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

// The version of the module of `package` that a `go.mod` requires, without its `v`.
fn required<'a>(go_mod: &'a str, package: &str) -> Option<&'a str> {
    let lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    let is_module = |module: &str| {
        let rest = package.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (_, version) = pairs
        .filter(|(module, _)| is_module(module))
        .max_by_key(|(module, _)| module.len())?;
    version.split_whitespace().next()?.strip_prefix('v')
}

// Whether a program that printed `text` says that it is of `version`.
fn has_version(text: &str, version: &str) -> bool {
    let mut words = text.split(|c: char| c.is_whitespace() || c == ',');
    words.any(|word| word.trim_start_matches('v') == version)
}

// What a binary is made from. A module's directory has other files too: its data, another module.
fn is_source(name: &Path) -> bool {
    let top = name.components().count() == 1;
    top && (name.extension().is_some_and(|end| end == "go")
        || ["go.mod", "go.sum", "build.env"]
            .iter()
            .any(|known| name == Path::new(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_program_is_used_if_it_is_of_the_version_that_is_required() {
        let go_mod = "module x\n\nrequire (\n\tgithub.com/a/b v1.2.3 // indirect\n\tgithub.com/a/b/c v0.4.0\n)\nrequire github.com/a v2.0.0\n";
        assert_eq!(required(go_mod, "github.com/a/b/cmd/b"), Some("1.2.3"));
        assert_eq!(required(go_mod, "github.com/a/b/c"), Some("0.4.0"));
        assert_eq!(required(go_mod, "github.com/a/bc"), Some("2.0.0"));
        assert_eq!(required(go_mod, "github.com/z"), None);
        for (printed, is_it) in [
            ("Version: 0.4.0\n", true),
            ("act version v0.4.0", true),
            ("0.4.01", false),
            ("", false),
        ] {
            assert_eq!(has_version(printed, "0.4.0"), is_it, "{printed}");
        }
    }

    #[test]
    fn every_tool_of_a_run_has_its_module() {
        use crate::setup::builds::{CHECKS, JUDGES, PIPELINE};
        for tool in PIPELINE.iter().chain(CHECKS).chain(JUDGES) {
            let module = Module::find(tool).unwrap();
            assert!(!module.words("PACKAGE").is_empty(), "{tool}");
        }
    }
}
