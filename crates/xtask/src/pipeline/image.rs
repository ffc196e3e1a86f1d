//! The image of the actions. `act` would build it once for every `uses:`, in parallel where jobs are; it is made here
//! before a run, once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::checkout;
use crate::actions::{self, ACTIONS};
use crate::setup::base_images::{self, DEBIAN, KEY_LABEL, has_key};
use crate::setup::builds::Builds;
use crate::setup::command::{command, output, run};
use crate::setup::programs::PROGRAMS;
use crate::setup::timings;
use crate::stack::Stack;
use crate::{paths, progress};

/// The image, if it is of the programs of this checkout.
const LOCAL: &str = "seaworthy/actions:local";

/// Build the last stage of `Dockerfile.action` in `checkout` with Docker's own builder, which is what a runner does
/// for `uses: ./actions/<name>`; Docker has what did not change. The image's id is returned.
///
/// # Errors
/// With the end of what Docker printed.
pub fn build(checkout: &Path) -> anyhow::Result<String> {
    let mut build = command("docker", ["build", "--quiet", "--file=Dockerfile.action"]);
    build.arg(".").current_dir(checkout);
    // The other builder needs a plug-in.
    build.env("DOCKER_BUILDKIT", "0");
    let id = progress::step("building the image of the actions", || output(&mut build))?;
    Ok(id.trim().to_owned())
}

/// Make the image for a run in `checkout`, under the names that `act` looks for: from the programs that Cargo compiled,
/// with their libraries, and the tools that were built, or, if the actions of `checkout` are others than those here, from its Dockerfile.
///
/// # Errors
/// With what failed.
pub fn provide(checkout: &Path, stack: &Stack) -> anyhow::Result<()> {
    let id = if sources(checkout)? == sources(&paths::root())? {
        assemble(&stack.builds)?
    } else {
        base_images::compilers(stack.origin)?;
        checkout::with_tools(checkout, stack, || build(checkout))?
    };
    for name in ACTIONS.iter().flat_map(|action| names(action.name)) {
        run(&mut command("docker", ["tag", &id, &name]))?;
    }
    Ok(())
}

/// Make the image of this checkout's programs and tools, and let its `Dockerfile.action` start from it: what a workflow of
/// this repository does before `uses: ./actions/<name>`, with what it restored from a cache, so that the runner compiles
/// nothing a second time.
///
/// # Errors
/// With what failed; `Dockerfile.action` is replaced last.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let builds = Builds::start(&actions::tools(), &[PROGRAMS]);
    base_images::provide()?;
    let image = assemble(&builds)?;
    let dockerfile = paths::root().join("Dockerfile.action");
    let text =
        format!("# Of `cargo xtask image`; `git restore` brings the build back.\nFROM {image}\n");
    std::fs::write(dockerfile, text).context("failed to replace `Dockerfile.action`")?;
    progress::line(format!("✓ `Dockerfile.action` starts from {image}"));
    Ok(())
}

// What the actions in `root` are made from.
fn sources(root: &Path) -> anyhow::Result<String> {
    let is_source = |path: &Path| {
        let starts = |part: &str| path.starts_with(part);
        let parts = ["crates", "actions", "Cargo.toml", "Cargo.lock"];
        // Tests leave what they would accept (`.name.pending-snap`, `name.snap.new`), which git ignores.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = name.starts_with('.') || name.ends_with(".snap.new");
        parts.into_iter().any(starts) && !is_left
    };
    paths::key_of(root, is_source, "")
}

// From what is there.
fn assemble(builds: &Builds) -> anyhow::Result<String> {
    let mut programs = Vec::new();
    let directory = builds.wait(PROGRAMS)?;
    programs.extend(ACTIONS.iter().map(|action| directory.join(action.name)));
    for tool in actions::tools() {
        programs.push(builds.wait(tool)?.join(tool));
    }
    let dockerfile = std::fs::read_to_string(paths::root().join("Dockerfile.action"))?;
    let dockerfile = assembling(&dockerfile)?;
    let mut made_of = dockerfile.clone();
    for program in &programs {
        let about = program.metadata().context("failed to read a program")?;
        made_of.push_str(&format!(
            "{} {:?} {}",
            program.display(),
            about.modified()?,
            about.len()
        ));
    }
    let key = paths::key_of_text(&made_of);
    if !has_key(LOCAL, &key) {
        timings::step(
            "image of the actions",
            "assembling the image of the actions",
            || {
                let context = context(&programs, &dockerfile)?;
                let mut build = command("docker", ["build", "--quiet", "--tag", LOCAL]);
                build
                    .arg(format!("--build-arg=RUNTIME_IMAGE={DEBIAN}"))
                    .arg(format!("--label={KEY_LABEL}={key}"))
                    .arg(&context)
                    .env("DOCKER_BUILDKIT", "0");
                run(&mut build)?;
                std::fs::remove_dir_all(context).context("failed to remove a build's context")
            },
        )?;
    }
    Ok(LOCAL.to_owned())
}

// The stage of `Dockerfile.action` that has no program, and the last one, with the programs from the context.
fn assembling(dockerfile: &str) -> anyhow::Result<String> {
    let start = dockerfile.find("FROM ${RUNTIME_IMAGE} AS base\n");
    let base = start.and_then(|start| dockerfile[start..].split("\n\n").next());
    let base = base.context("`Dockerfile.action` has no stage `base`")?;
    let last = dockerfile.rsplit("\n\n").next().unwrap_or_default();
    ensure!(
        last.starts_with("FROM scratch\n"),
        "the last stage of `Dockerfile.action` is not from scratch"
    );
    let lines = last.lines().filter_map(|line| match line.trim_end() {
        "COPY --from=tools /out/ /usr/local/bin/" => {
            Some("COPY bin/ /usr/local/bin/\nCOPY libraries/ /")
        }
        "COPY --from=build /out/ /usr/local/bin/" => None,
        line => Some(line),
    });
    let last: Vec<_> = lines.collect();
    Ok(format!(
        "ARG RUNTIME_IMAGE\n{base}\n\n{}\n",
        last.join("\n")
    ))
}

fn context(programs: &[PathBuf], dockerfile: &str) -> anyhow::Result<PathBuf> {
    let context = paths::state().join("image");
    if context.is_dir() {
        std::fs::remove_dir_all(&context).context("failed to remove the last build's context")?;
    }
    std::fs::create_dir_all(context.join("bin"))?;
    std::fs::create_dir_all(context.join("libraries"))?;
    std::fs::write(context.join("Dockerfile"), dockerfile)?;
    for program in programs {
        let name = program.file_name().context("a program has a name")?;
        let to = context.join("bin").join(name);
        let libraries = libraries(program);
        if libraries.is_empty() {
            std::fs::copy(program, &to)
                .with_context(|| format!("failed to copy `{}`", program.display()))?;
        } else {
            // What a debugger reads is most of it.
            run(command("strip", ["--strip-debug", "-o"])
                .arg(&to)
                .arg(program))?;
        }
        for library in libraries {
            let name = library.strip_prefix("/").unwrap_or(&library);
            let to = context.join("libraries").join(name);
            std::fs::create_dir_all(to.parent().unwrap_or(&context))?;
            std::fs::copy(&library, &to)
                .with_context(|| format!("failed to copy `{}`", library.display()))?;
        }
    }
    Ok(context)
}

// What the loader maps for `program`, and the loader (ldd(1)); nothing for a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = output(command("ldd", [""; 0]).arg(program)).unwrap_or_default();
    let path = |line: &str| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(PathBuf::from)
    };
    listed.lines().filter_map(path).collect()
}

// Of a step that uses `./actions/<action>`, and of one that uses `OWNER/seaworthy/actions/<action>@v1`
// (github.com/nektos/act, pkg/runner/action.go, `execAsDocker`).
fn names(action: &str) -> [String; 2] {
    let directory = format!("actions-{action}");
    [
        format!("act-{directory}-dockeraction:latest"),
        format!("act-owner-seaworthy-{directory}-v1-{directory}-dockeraction:latest"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_last_stage_with_programs_that_are_there() {
        let text = std::fs::read_to_string(paths::root().join("Dockerfile.action")).unwrap();
        let dockerfile = assembling(&text).unwrap();
        let (base, last) = dockerfile.split_once("\n\n").unwrap();
        assert!(
            base.starts_with("ARG RUNTIME_IMAGE\nFROM ${RUNTIME_IMAGE} AS base\nRUN "),
            "{base}"
        );
        assert_eq!(
            last,
            "FROM scratch\nCOPY --from=base /base/ /\nCOPY bin/ /usr/local/bin/\nCOPY libraries/ /\nENV PATH=/usr/local/bin\n"
        );
        assert!(assembling("FROM scratch\n").is_err());
    }
}
