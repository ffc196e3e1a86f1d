//! The container engine.

use std::time::Duration;

use super::process;
use crate::say;
use crate::setup::base_images;
use crate::setup::command::{command, output, run, succeeds};

fn answers() -> bool {
    succeeds(&mut command("docker", ["info"]))
}

/// Use the engine that runs, or start one.
///
/// # Errors
/// When it does not come up.
pub(super) fn start() -> anyhow::Result<()> {
    if answers() {
        return Ok(());
    }
    say::step("starting the container engine", || {
        process::start(
            "engine",
            &mut command("dockerd", ["--host=unix:///var/run/docker.sock"]),
        )?;
        process::wait("engine", Duration::from_secs(60), answers)
    })
}

/// Stop the engine, if it is ours.
pub(super) fn stop() {
    process::stop("engine");
}

/// Remove the images that were made here.
pub(super) fn remove_images() {
    if let Ok(ids) = output(&mut command(
        "docker",
        ["images", "--quiet", "--filter", "label=dev.drydock.key"],
    )) {
        for id in ids.split_whitespace() {
            // An image in use stays: the engine says so, and it is not ours to force.
            let _ = run(&mut command("docker", ["rmi", "--force", id]));
        }
    }
    let _ = run(&mut command(
        "docker",
        ["rmi", "--force", base_images::RUNNER],
    ));
}
