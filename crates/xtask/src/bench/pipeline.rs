//! The whole pipeline through the actions, beside a plain script that does the same.

use std::path::Path;

use anyhow::Context as _;

use super::timed;

use crate::setup::base_images;
use crate::setup::command::{command, output, run as run_command};
use crate::stack::{self, Stack};
use crate::{paths, pipeline, say};

/// The workflow with the four actions against a plain script that does the same. Each runs once before it is
/// timed, so that both find their images and caches warm.
///
/// # Errors
/// When one of them fails.
pub(super) fn run() -> anyhow::Result<()> {
    let stack = stack::up()?;
    let checkout = pipeline::checkout::prepare(&paths::root(), &stack)?;
    let actions = || pipeline::act(&stack, &checkout, pipeline::DEPLOYMENT, "push");
    let script = || say::step("the same as a script", || plain_script(&stack, &checkout));
    actions()?;
    script()?;
    let actions = timed(actions)?;
    let script = timed(script)?;
    let ratio = actions.as_secs_f64() / script.as_secs_f64();
    say::line(format!(
        "\npipeline: {:.1} s with the actions, {:.1} s as a script: {ratio:.2}",
        actions.as_secs_f64(),
        script.as_secs_f64()
    ));
    Ok(())
}

fn plain_script(stack: &Stack, checkout: &Path) -> anyhow::Result<()> {
    let work = paths::state().join("bench");
    if work.is_dir() {
        std::fs::remove_dir_all(&work).context("while removing the last run's files")?;
    }
    std::fs::create_dir_all(&work)?;
    let commit = output(command("git", ["rev-parse", "HEAD"]).current_dir(checkout))?;
    let mut path = std::env::var("PATH").unwrap_or_default();
    for tool in ["trivy", "copa", "kubernetes"] {
        path = format!("{}:{path}", stack.builds.wait(tool)?.display());
    }
    let script = paths::root().join("tools/bench/pipeline.sh");
    let mut script = command("bash", [&script]);
    script
        .env("PATH", path)
        .env("SOURCE", checkout)
        .env("COMMIT", commit.trim())
        .env("WORK", &work)
        .env("LOGIN_SERVER", stack::LOGIN_SERVER)
        .env("MIRROR", stack::MIRROR)
        .env("AZURE", stack::AZURE)
        .env("TENANT", stack::TENANT)
        .env("CLIENT", stack::CLIENT)
        .env("OIDC_REQUEST_TOKEN", stack::OIDC_REQUEST_TOKEN)
        .env("TOOLING", base_images::DEBIAN)
        .env("BUILDKIT", base_images::BUILDKIT)
        .env("KUBECONFIG", &stack.kubeconfig)
        .env(
            "CURL_CA_BUNDLE",
            checkout.join(pipeline::checkout::AUTHORITIES),
        )
        .env("DOCKER_BUILDKIT", "0");
    run_command(&mut script)
}
