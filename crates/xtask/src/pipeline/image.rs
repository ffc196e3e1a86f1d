//! The image of the actions. `act` would build it once for every `uses:`, in parallel where jobs are; it is built here
//! before a run, once, by the same builder and from the same Dockerfile.

use std::path::Path;

use super::checkout;
use crate::actions::ACTIONS;
use crate::progress;
use crate::setup::command::{command, output, run};
use crate::stack::Stack;

/// Build the last stage of `Dockerfile.action` in `checkout` with Docker's own builder, which is what a runner does
/// for `uses: ./actions/<name>`; Docker has what did not change. The image's id is returned.
///
/// # Errors
/// With the end of what Docker printed.
pub(crate) fn build(checkout: &Path) -> anyhow::Result<String> {
    let mut build = command("docker", ["build", "--quiet", "--file=Dockerfile.action"]);
    build.arg(".").current_dir(checkout);
    // The other builder needs a plug-in.
    build.env("DOCKER_BUILDKIT", "0");
    let id = progress::step("building the image of the actions", || output(&mut build))?;
    Ok(id.trim().to_owned())
}

/// The same, under the names that `act` looks for.
///
/// # Errors
/// The same.
pub(crate) fn provide(checkout: &Path, stack: &Stack) -> anyhow::Result<()> {
    let id = checkout::with_tools(checkout, stack, || build(checkout))?;
    for name in ACTIONS.iter().flat_map(|action| names(action.name)) {
        run(&mut command("docker", ["tag", &id, &name]))?;
    }
    Ok(())
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
