//! Directories that kustomize renders.
//!
//! What holds: no program is run for a kustomization, since plugins and Helm are off. Every reference to a file or directory is
//! looked at before kustomize starts, and what is not a path in the checkout is rejected. A reference that the check overlooks finds no git
//! in `PATH`, and a proxy that nothing listens on; Go contacts loopback addresses without a proxy, so those are kept out by
//! the check alone.

mod local;

#[cfg(fuzzing)]
pub(crate) use local::check_text;

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, WorkspacePath};

use super::{Rendered, offline_tool};

/// The names that kustomize looks for (kustomize/api/konfig, `RecognizedKustomizationFileNames`).
const NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Rendering reads files of the checkout: a longer run is waiting for a network.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Render those of `paths` that are directories with a kustomization, with the standard load restrictions: files come from the
/// directory itself, or from directories of the checkout that it names as a whole.
///
/// # Errors
/// [`BadInput`] for a reference that is not a path in the checkout, and with the message of kustomize.
pub(crate) async fn render(
    ctx: &Context,
    paths: &[WorkspacePath],
) -> anyhow::Result<Vec<Rendered>> {
    let mut rendered = Vec::new();
    for directory in paths {
        let (absolute, shown) = (directory.absolute(), directory.relative());
        if !is_kustomization(&absolute) {
            continue;
        }
        let (root, path) = (ctx.workspace()?.root().to_owned(), absolute.clone());
        let check = tokio::task::spawn_blocking(move || local::check(&root, &path));
        check.await?.map_err(|problem| {
            let problem = format!("kustomize failed to render `{shown}`: {problem}");
            BadInput::new("manifests", problem)
        })?;
        let done = offline_tool::new(ctx.env(), "kustomize")
            .arg("build")
            .arg(&absolute)
            .timeout(TIMEOUT)
            .capture(ctx.log(), &format!("kustomize build {shown}"))
            .await?;
        if !done.status.success() {
            let message = done.tail.join(" ");
            let message = message.trim().trim_start_matches("Error: ");
            return Err(BadInput::new(
                "manifests",
                format!("kustomize failed to render `{shown}`: {message}"),
            )
            .into());
        }
        let yaml = String::from_utf8(done.stdout).map_err(|e| {
            BadInput::new(
                "manifests",
                format!("the output for `{shown}` is not text: {e}"),
            )
        })?;
        rendered.push(Rendered {
            path: directory.clone(),
            texts: vec![(shown.to_owned(), yaml)],
        });
    }
    Ok(rendered)
}

// Whether kustomize renders `directory`.
fn is_kustomization(directory: &Path) -> bool {
    NAMES.iter().any(|name| directory.join(name).is_file())
}
