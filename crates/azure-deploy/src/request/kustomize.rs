//! Directories that kustomize renders.

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, WorkspacePath};
use tool::Tool;

/// The names that kustomize looks for (kustomize/api/konfig, `RecognizedKustomizationFileNames`).
const NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Rendering reads files of the checkout: a longer run is waiting for a network.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The objects of a directory, rendered.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The directory of the kustomization.
    pub(crate) directory: WorkspacePath,
    /// Its objects, as YAML.
    pub(crate) yaml: String,
}

/// Render those of `paths` that are directories with a kustomization. With the standard load restrictions, and without
/// plugins: no program is run, and no file outside the directory's own bases is read.
///
/// # Errors
/// [`BadInput`] with the message of kustomize.
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
        let done = Tool::new("kustomize", ctx.env())
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
            directory: directory.clone(),
            yaml,
        });
    }
    Ok(rendered)
}

// Whether kustomize renders `directory`.
fn is_kustomization(directory: &Path) -> bool {
    NAMES.iter().any(|name| directory.join(name).is_file())
}
