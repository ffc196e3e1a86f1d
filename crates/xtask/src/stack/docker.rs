//! Docker.

use std::time::Duration;

use super::kubernetes::cgroups;
use super::{firewall, process};
use crate::setup::base_images;
use crate::setup::command::{command, output, run, succeeds};
use crate::{paths, say};

fn answers() -> bool {
    succeeds(&mut command("docker", ["info"]))
}

/// Use Docker that runs, or start one.
///
/// # Errors
/// When it does not come up.
pub(super) fn start() -> anyhow::Result<()> {
    if answers() {
        return Ok(());
    }
    firewall::save()?;
    say::step("starting Docker", || {
        process::start(
            "docker",
            &command("dockerd", ["--host=unix:///var/run/docker.sock"]),
        )?;
        process::wait("docker", Duration::from_secs(60), answers)
    })
}

/// Stop Docker, if it is ours, and take away what it leaves on the host.
///
/// # Errors
/// When the rules can't be written.
pub(super) fn stop() -> anyhow::Result<()> {
    process::stop("docker");
    // Docker that answers now is somebody else's: its rules are in use.
    if answers() || !firewall::is_kept() {
        return Ok(());
    }
    for group in ["docker", "buildkit"] {
        cgroups::remove_empty(group);
    }
    firewall::restore()
}

/// Containers of runs that were cut off: those of the actions, those of this command, and those in which `act` ran our
/// checkout.
pub(super) fn containers() -> Vec<String> {
    let checkout = format!("volume={}", paths::state().join("checkout").display());
    let labelled = format!("label={}", docker::RUN_LABEL);
    let mut ids = Vec::new();
    let of_setup = format!("name=^/?{}", base_images::SETUP_NAME);
    for filter in [labelled, checkout, of_setup] {
        let list = ["ps", "--all", "--quiet", "--filter", &filter];
        let found = output(&mut command("docker", list)).unwrap_or_default();
        ids.extend(found.split_whitespace().map(ToOwned::to_owned));
    }
    ids
}

/// Remove them.
pub(super) fn remove_containers() {
    for id in containers() {
        let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
        let volumes = output(&mut command("docker", ["inspect", "--format", format, &id]));
        // One that ends by itself meanwhile is gone, which is what is wanted.
        let _ = run(&mut command("docker", ["rm", "--force", "--volumes", &id]));
        for volume in volumes.unwrap_or_default().split_whitespace() {
            if volume != "act-toolcache" {
                let _ = run(&mut command("docker", ["volume", "rm", volume]));
            }
        }
    }
}

/// Remove the images that were made here, and those of runs that were built on them.
pub(super) fn remove_images() {
    let made = format!("label={}", base_images::KEY_LABEL);
    let list = [
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        &made,
    ];
    let names = output(&mut command("docker", list)).unwrap_or_default();
    // Whatever else was built on them carries the label too, and is not ours.
    for name in names.lines().filter(|name| is_ours(name)) {
        // An image in use stays: Docker says so, and it is not ours to force.
        let _ = run(&mut command("docker", ["rmi", name]));
    }
    let _ = run(&mut command(
        "docker",
        ["image", "prune", "--force", "--filter", &made],
    ));
}

fn is_ours(name: &str) -> bool {
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
        for (name, ours) in [
            ("debian:trixie-slim", true),
            ("debian:bookworm", false),
            ("flask-app:1f2e", true),
            ("seaworthy.azurecr.io/flask-app:latest", true),
            ("act-actions-ci-dockeraction:latest", true),
            ("somebody/else:latest", false),
            ("<none>:<none>", false),
        ] {
            assert_eq!(super::is_ours(name), ours, "{name}");
        }
    }
}
