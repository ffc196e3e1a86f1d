//! The builder of a release: BuildKit in a container, the same on a CI service's machine and on a developer's.
//! Docker's own can't rewrite the times in a layer, so two builds with it would differ.

use std::path::Path;

use crate::bases::Bases;
use xtask::progress;
use xtask::setup::base_images::BUILDKIT;
use xtask::setup::command::{command, output, run, succeeds};
use xtask::stack::RELEASE_VOLUME;

/// What to build.
pub(crate) struct Build<'a> {
    /// The directory of the Dockerfile and the context, in the checkout; empty for the checkout itself.
    pub(crate) context: &'a str,
    pub(crate) dockerfile: &'a str,
    /// The stage; the last one if it is empty.
    pub(crate) target: &'a str,
    pub(crate) arguments: Vec<(&'a str, String)>,
    pub(crate) labels: Vec<(&'a str, String)>,
    /// The stages that are built without the cache; `Some("")` for all.
    pub(crate) uncached: Option<String>,
    /// Whether every file gets the time `SOURCE_DATE_EPOCH` of the arguments
    /// (reproducible-builds.org/specs/source-date-epoch).
    pub(crate) one_time: bool,
}

/// A running BuildKit.
pub(crate) struct Builder<'a> {
    container: String,
    bases: &'a Bases,
}

impl<'a> Builder<'a> {
    /// Start one that reads the checkout `source` and writes to `out`; `bases` has the addresses of the base images.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn start(source: &Path, out: &Path, bases: &'a Bases) -> anyhow::Result<Self> {
        std::fs::create_dir_all(out)?;
        let out = &out.canonicalize()?;
        let mount = |from: &Path, to: &str| format!("{}:{to}", from.display());
        let mut start = command("docker", ["run", "--detach", "--rm"]);
        // What a build needs, mounts and the network of its steps, without being privileged.
        start
            .args(["--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN"])
            .args([
                "--security-opt=seccomp=unconfined",
                "--security-opt=apparmor=unconfined",
            ])
            .args(["--security-opt=systempaths=unconfined"])
            .args(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup"])
            .args(["--network", "host", "--label", "dev.seaworthy.run=release"])
            .args(["--volume", &mount(source, "/source:ro")])
            .args(["--volume", &mount(out, "/out")])
            .args(["--volume", &format!("{RELEASE_VOLUME}:/var/lib/buildkit")])
            .args([BUILDKIT, "--oci-worker-net=host"])
            .arg("--allow-insecure-entitlement=network.host")
            // In megabytes: always kept, left free on the disk, maximum.
            .arg("--oci-worker-gc-keepstorage=3000,2000,6000");
        let container = output(&mut start)?.trim().to_owned();
        let builder = Self { container, bases };
        let ready = ["exec", &builder.container, "buildctl", "debug", "workers"];
        for _ in 0..150 {
            if succeeds(&mut command("docker", ready)) {
                return Ok(builder);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        anyhow::bail!(
            "timed out after 30s waiting for BuildKit; see `docker logs {}`",
            builder.container
        )
    }

    /// Run `build`; the image goes into the archive `<name>.tar` of the directory that this writes to.
    ///
    /// # Errors
    /// With the end of what BuildKit printed.
    pub(crate) fn build(&self, name: &str, build: &Build<'_>) -> anyhow::Result<()> {
        let mut run = command("docker", ["exec", &self.container, "buildctl", "build"]);
        let directory = format!("/source/{}", build.context);
        run.args(["--progress=plain", "--frontend=dockerfile.v0"])
            .arg(format!("--local=context={directory}"))
            .arg(format!("--local=dockerfile={directory}"))
            .arg(format!("--opt=filename={}", build.dockerfile))
            .arg("--opt=force-network-mode=host")
            .args(["--allow=network.host"])
            .arg(format!("--opt=target={}", build.target))
            .arg(format!(
                "--output=type=docker,oci-mediatypes=true,dest=/out/{name}.tar,rewrite-timestamp={}",
                build.one_time
            ));
        if let Some(stages) = &build.uncached {
            run.arg(format!("--opt=no-cache={stages}"));
        }
        for (name, value) in &build.labels {
            run.arg(format!(
                "--opt=label:org.opencontainers.image.{name}={value}"
            ));
        }
        for (name, value) in self.bases.arguments().iter().chain(&build.arguments) {
            run.arg(format!("--opt=build-arg:{name}={value}"));
        }
        progress::step(&format!("building the image of {name}"), || {
            output(&mut run)
        })
        .map(drop)
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        // It is removed when it exits: one that has exited is gone.
        let _ = run(&mut command("docker", ["rm", "--force", &self.container]));
    }
}
