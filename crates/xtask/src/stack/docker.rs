//! Docker.

use std::time::Duration;

use super::kubernetes::cgroups;
use super::{firewall, process};
use crate::setup::base_images;
use crate::setup::command::{command, output, run, succeeds};
use crate::{paths, progress};

/// The label of the containers that the actions start, as the crate `docker` has it; that is not a dependency here.
pub const RUN_LABEL: &str = "dev.seaworthy.run";

/// What the builder of a release keeps between runs, a volume.
pub const RELEASE_VOLUME: &str = "seaworthy-release";

fn responds() -> bool {
    succeeds(&mut command("docker", ["info"]))
}

/// Start Docker, unless it is running.
///
/// # Errors
/// When it does not start.
pub(super) fn start() -> anyhow::Result<()> {
    if responds() {
        return Ok(());
    }
    firewall::save()?;
    progress::step("starting Docker", || {
        process::start(
            "docker",
            &command("dockerd", ["--host=unix:///var/run/docker.sock"]),
        )?;
        process::wait("docker", Duration::from_secs(60), responds)
    })
}

/// Stop Docker, if it was started here, and remove what it leaves on the host.
///
/// # Errors
/// When the rules can't be written.
pub(super) fn stop() -> anyhow::Result<()> {
    process::stop("docker");
    // A Docker that responds now was not started here: its rules are in use.
    if responds() || !firewall::is_saved() {
        return Ok(());
    }
    for group in ["docker", "buildkit"] {
        cgroups::remove_empty(group);
    }
    firewall::restore()
}

/// Containers of interrupted runs: those of the actions, those of this command, and those in which `act` ran the
/// checkout.
pub(super) fn containers() -> Vec<String> {
    let checkout = format!("volume={}", paths::state().join("checkout").display());
    let by_label = format!("label={RUN_LABEL}");
    let mut ids = Vec::new();
    let of_setup = format!("name=^/?{}", base_images::SETUP_NAME);
    for filter in [by_label, checkout, of_setup] {
        let list = ["ps", "--all", "--quiet", "--filter", &filter];
        let listed = output(&mut command("docker", list)).unwrap_or_default();
        ids.extend(listed.split_whitespace().map(ToOwned::to_owned));
    }
    ids
}

/// Remove them.
pub(super) fn remove_containers() {
    for id in containers() {
        let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
        let volumes = output(&mut command("docker", ["inspect", "--format", format, &id]));
        // One that exits meanwhile is gone, which is fine.
        let _ = run(&mut command("docker", ["rm", "--force", "--volumes", &id]));
        for volume in volumes.unwrap_or_default().split_whitespace() {
            if volume != "act-toolcache" {
                let _ = run(&mut command("docker", ["volume", "rm", volume]));
            }
        }
    }
}

/// Remove the images that were made here, and those of runs that were built on them; the names of those that are left
/// are returned.
pub(super) fn remove_images() -> Vec<String> {
    // Without a dry run there is none.
    let _ = run(&mut command("docker", ["volume", "rm", RELEASE_VOLUME]));
    let made = format!("label={}", base_images::KEY_LABEL);
    let list = [
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        &made,
    ];
    // Other images that were built on them have the label too, and stay.
    let made_here = || {
        let names = output(&mut command("docker", list)).unwrap_or_default();
        let names = names.lines().filter(|name| is_made_here(name));
        names.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    for name in made_here() {
        // An image in use stays: Docker refuses, and it is not forced.
        let _ = run(&mut command("docker", ["rmi", &name]));
    }
    let _ = run(&mut command(
        "docker",
        ["image", "prune", "--force", "--filter", &made],
    ));
    made_here()
}

fn is_made_here(name: &str) -> bool {
    let repository = name
        .rsplit_once(':')
        .map_or(name, |(repository, _)| repository);
    let of_act = repository.starts_with("act-") && repository.ends_with("-dockeraction");
    base_images::MADE.contains(&name) || repository.ends_with("flask-app") || of_act
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_was_made_here_is_removed() {
        for (name, expected) in [
            ("debian:trixie-slim", true),
            ("debian:bookworm", false),
            ("flask-app:1f2e", true),
            ("seaworthy.azurecr.io/flask-app:latest", true),
            ("act-actions-ci-dockeraction:latest", true),
            ("somebody/else:latest", false),
            ("<none>:<none>", false),
        ] {
            assert_eq!(super::is_made_here(name), expected, "{name}");
        }
    }
}
