//! The base images of the Dockerfiles: pulled where a registry responds, made otherwise.

mod debian;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::builds::Builds;
use super::command::{command, output, run, succeeds};
use super::timings;
use crate::paths;

/// The image that the application and the actions start from.
pub const DEBIAN: &str = "debian:trixie-slim";
/// The image that the actions are compiled in.
pub const RUST: &str = "rust:1.95-slim-trixie";
/// The image that the tools are compiled in.
pub const GO: &str = "golang:1.26-trixie";
/// The builder of a release, and of the tests.
pub const BUILDKIT: &str = "moby/buildkit:v0.34.2";
/// The image in which `act` runs the steps of a job.
pub const RUNNER: &str = "seaworthy/runner:local";
/// The image of a pod's sandbox.
pub const PAUSE: &str = "seaworthy/pause:local";
/// Debian for arm64, which QEMU runs in the tests.
pub const DEBIAN_ARM64: &str = "seaworthy/debian-arm64:local";
/// All of them.
pub const MADE: &[&str] = &[
    DEBIAN,
    DEBIAN_ARM64,
    RUST,
    GO,
    BUILDKIT,
    RUNNER,
    PAUSE,
    "seaworthy/actions:local",
];
/// The prefix of the names of containers in which an image is made.
pub const SETUP_NAME: &str = "seaworthy-setup-";
/// Where Docker listens, without `DOCKER_HOST`.
const SOCKET: &str = "/var/run/docker.sock";
/// What an image was made from, so that it is made again only when that changes.
pub const KEY_LABEL: &str = "dev.seaworthy.key";

/// Where the base images came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a registry.
    Pulled,
    /// Made here, under the same names.
    Made,
}

/// Pull or make the image that the others start from.
///
/// # Errors
/// When it can neither be pulled nor made.
pub(crate) fn provide() -> anyhow::Result<Origin> {
    let origin = if registry_responds() {
        pull(DEBIAN)?;
        Origin::Pulled
    } else {
        debian::provide()?;
        Origin::Made
    };
    run(&mut command("docker", ["tag", DEBIAN, RUNNER]))?;
    Ok(origin)
}

/// Make the image for arm64. It is never pulled: Docker would then have the name of this machine's image for it.
///
/// # Errors
/// When Debian's archive does not give it, or nothing runs its programs.
pub(crate) fn arm64() -> anyhow::Result<()> {
    debian::provide_arm64()
}

/// Pull or make the images that `Dockerfile.action` compiles in.
///
/// # Errors
/// When one can neither be pulled nor made.
pub fn compilers(origin: Origin) -> anyhow::Result<()> {
    if origin == Origin::Pulled {
        return [RUST, GO].into_iter().try_for_each(pull);
    }
    let sysroot = PathBuf::from(output(&mut command("rustc", ["--print", "sysroot"]))?.trim());
    let version = output(&mut command("rustc", ["--version"]))?;
    derived(
        RUST,
        &version,
        |container| {
            install(container, &["gcc", "libc6-dev"])?;
            copy_in(&sysroot, &["bin", "lib"], container, "/usr/local/")
        },
        &["ENV CARGO_HOME=/usr/local/cargo"],
    )?;
    let goroot = PathBuf::from(output(&mut command("go", ["env", "GOROOT"]))?.trim());
    let version = output(&mut command("go", ["version"]))?;
    let parts = ["bin", "pkg", "src", "lib", "go.env", "VERSION"];
    derived(
        GO,
        &version,
        |container| {
            inside(container, &["mkdir", "-p", "/usr/local/go"])?;
            copy_in(&goroot, &parts, container, "/usr/local/go/")
        },
        &[
            "ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ],
    )
}

/// Pull the image of BuildKit, or make it from the tool.
///
/// # Errors
/// When it can neither be pulled nor made.
pub(crate) fn buildkit(origin: Origin, builds: &Builds) -> anyhow::Result<()> {
    if origin == Origin::Pulled {
        return pull(BUILDKIT);
    }
    let built = builds.wait("buildkit")?;
    derived(
        BUILDKIT,
        &key_of(&built),
        |container| {
            install(container, &["runc"])?;
            copy_in(
                &built,
                &["buildkitd", "buildctl"],
                container,
                "/usr/local/bin/",
            )
        },
        &["ENTRYPOINT [\"/usr/local/bin/buildkitd\"]", "CMD []"],
    )
}

fn pull(image: &str) -> anyhow::Result<()> {
    if succeeds(&mut command("docker", ["image", "inspect", image])) {
        return Ok(());
    }
    timings::step(image, &format!("pulling {image}"), || {
        run(&mut command("docker", ["pull", "-q", image]))
    })
}

fn install(container: &str, packages: &[&str]) -> anyhow::Result<()> {
    inside(container, &["apt-get", "update", "-qq"])?;
    let mut args = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    args.extend(packages);
    inside(container, &args)
}

fn key_of(directory: &Path) -> String {
    directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

// Whether Docker gets a response about the image in time, from Docker Hub or from its mirror
// (docs.docker.com/reference/api/engine, `DistributionInspect`; the client has no command for it).
fn registry_responds() -> bool {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = host.strip_prefix("unix://").unwrap_or(SOCKET);
    let url = format!("http://docker/distribution/{DEBIAN}/json");
    let request = ["--silent", "--fail", "--max-time", "10", "--unix-socket"];
    succeeds(command("curl", request).args([socket, &url]))
}

/// Whether Docker's `image` was made from what has the key `key`.
pub(crate) fn has_key(image: &str, key: &str) -> bool {
    let format = format!("{{{{index .Config.Labels \"{KEY_LABEL}\"}}}}");
    let label = output(&mut command(
        "docker",
        ["image", "inspect", "--format", &format, image],
    ));
    label.is_ok_and(|label| label.trim() == key)
}

// An image made from the base image by some steps in a container of it.
fn derived(
    image: &str,
    made_of: &str,
    steps: impl FnOnce(&str) -> anyhow::Result<()>,
    changes: &[&str],
) -> anyhow::Result<()> {
    let base = output(&mut command(
        "docker",
        ["image", "inspect", "--format", "{{.Id}}", DEBIAN],
    ))?;
    let key = paths::key_of_text(format!("{} {} {changes:?}", base.trim(), made_of.trim()));
    if has_key(image, &key) {
        return Ok(());
    }
    timings::step(image, &format!("making {image}"), || {
        // Not a label, which the image would inherit.
        let name = format!("--name={SETUP_NAME}{}", std::process::id());
        let start = ["run", "--detach", &name, DEBIAN, "sleep", "infinity"];
        let id = output(&mut command("docker", start))?;
        let id = id.trim();
        let made = steps(id).and_then(|()| {
            let mut commit = command(
                "docker",
                ["commit", "--change", &format!("LABEL {KEY_LABEL}={key}")],
            );
            for change in changes {
                commit.arg("--change").arg(change);
            }
            run(commit.arg(id).arg(image))
        });
        // The container is removed in any case.
        let _ = run(&mut command("docker", ["rm", "--force", id]));
        made
    })
}

fn inside(container: &str, args: &[&str]) -> anyhow::Result<()> {
    let mut exec = command(
        "docker",
        ["exec", "--env", "DEBIAN_FRONTEND=noninteractive", container],
    );
    run(exec.args(args))
}

// `docker cp` of a directory would keep the host's links: a tar resolves them.
fn copy_in(from: &Path, names: &[&str], container: &str, to: &str) -> anyhow::Result<()> {
    use std::process::Stdio;
    let present = names.iter().filter(|name| from.join(name).exists());
    let mut tar = command(
        "tar",
        [
            "--create",
            "--dereference",
            "--owner=0",
            "--group=0",
            "--directory",
        ],
    );
    let mut tar = tar
        .arg(from)
        .args(present)
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start `tar`")?;
    let stream = tar.stdout.take().context("failed to read from `tar`")?;
    let mut copy = command("docker", ["cp", "-", &format!("{container}:{to}")]);
    run(copy.stdin(stream))?;
    if !tar.wait()?.success() {
        bail!("`tar` could not read `{}`", from.display());
    }
    Ok(())
}

/// Make the image of a pod's sandbox: one static program and nothing else.
///
/// # Errors
/// When Docker refuses it.
pub(crate) fn pause(built: &Path) -> anyhow::Result<()> {
    use std::process::Stdio;
    let key = key_of(built);
    if has_key(PAUSE, &key) {
        return Ok(());
    }
    let mut tar = command("tar", ["--create", "--directory"]);
    let mut tar = tar
        .arg(built)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start `tar`")?;
    let stream = tar.stdout.take().context("failed to read from `tar`")?;
    let label = format!("LABEL {KEY_LABEL}={key}");
    let mut import = command(
        "docker",
        [
            "import",
            "-c",
            "ENTRYPOINT [\"/kubernetes-pause\"]",
            "-c",
            &label,
            "-",
            PAUSE,
        ],
    );
    run(import.stdin(stream))?;
    tar.wait()?;
    Ok(())
}
