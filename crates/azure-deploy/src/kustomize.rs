//! Folders that kustomize renders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context};
use tool::Tool;

/// The names that kustomize looks for (kustomize/api/konfig, `RecognizedKustomizationFileNames`).
const NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Rendering reads files of the checkout: what takes longer waits for a network.
const LIMIT: Duration = Duration::from_secs(60);

/// What kustomize made of a folder.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Its objects, as YAML.
    pub(crate) yaml: String,
}

/// Whether kustomize renders `folder`.
pub(crate) fn is_kustomization(folder: &Path) -> bool {
    NAMES.iter().any(|name| folder.join(name).is_file())
}

/// Render those of `folders` that have a kustomization. With the standard load restrictions, and without
/// plugins: no program is run, and no file outside the folder's own bases is read.
///
/// # Errors
/// [`BadInput`] with what kustomize said.
pub(crate) async fn render(
    ctx: &Context,
    workspace: &Path,
    folders: &[PathBuf],
) -> anyhow::Result<Vec<Rendered>> {
    let mut rendered = Vec::new();
    for folder in folders.iter().filter(|folder| is_kustomization(folder)) {
        let shown = folder.strip_prefix(workspace).unwrap_or(folder).display();
        let done = Tool::new("kustomize", ctx.env())
            .arg("build")
            .arg(folder)
            .limit(LIMIT)
            .capture(ctx.log(), &format!("kustomize build {shown}"))
            .await?;
        if !done.status.success() {
            let said = done.tail.join(" ");
            let said = said.trim().trim_start_matches("Error: ");
            return Err(BadInput::new(
                "manifests",
                format!("kustomize could not render `{shown}`: {said}"),
            )
            .into());
        }
        let yaml = String::from_utf8(done.stdout).map_err(|e| {
            BadInput::new("manifests", format!("`{shown}` renders to no text: {e}"))
        })?;
        rendered.push(Rendered {
            folder: folder.clone(),
            yaml,
        });
    }
    Ok(rendered)
}
