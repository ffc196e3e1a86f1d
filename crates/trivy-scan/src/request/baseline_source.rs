//! Where earlier findings come from.

use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Context, Workspace};
use oci::ImageRef;
use serde_json::Value;

use super::Inputs;

/// Where the baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BaselineSource {
    /// There is none.
    None,
    /// The newest analysis of the branch that the change goes into, of the same category and before a patch.
    BaseBranch,
    /// A SARIF file of an earlier run.
    File(PathBuf),
    /// A checkout of the base, to be scanned with the same database.
    Directory(PathBuf),
    /// An image of the base, to be scanned with the same database.
    Image(ImageRef),
}

impl BaselineSource {
    /// Parse the input `baseline`.
    pub(super) fn new(ctx: &Context, workspace: &Workspace, text: &str) -> Result<Self, BadInput> {
        let bad = |problem| BadInput::new(Inputs::baseline, problem);
        match text {
            "none" => return Ok(Self::None),
            "auto" => {
                let event = ctx.github().event_name().unwrap_or_default();
                let has_base = [
                    "pull_request",
                    "pull_request_target",
                    "merge_group",
                    "workflow_dispatch",
                ];
                return Ok(if has_base.contains(&event) {
                    Self::BaseBranch
                } else {
                    Self::None
                });
            }
            _ => {}
        }
        if let Some(image) = text.strip_prefix("image:") {
            let image = image.parse();
            return image
                .map(Self::Image)
                .map_err(|e| bad(format!("`{text}`: {e}")));
        }
        let path = workspace.path(Inputs::baseline, text).map_err(bad)?;
        let path = path.existing()?;
        if path.is_dir() {
            return Ok(Self::Directory(path));
        }
        // Parsed here so that an invalid file is reported before anything is started.
        read_sarif(&path).map_err(|e| bad(format!("`{text}` {e}")))?;
        Ok(Self::File(path))
    }
}

/// Bytes of the largest SARIF file; GitHub accepts 10 MB, compressed.
const SARIF_LIMIT: usize = 64 * limits::MIB;

/// The SARIF file at `path`, whose links are resolved.
pub(crate) fn read_sarif(path: &Path) -> Result<Value, String> {
    let directory = path.parent().unwrap_or(path);
    let text = limits::read(directory, path, SARIF_LIMIT);
    let text = text.map_err(|e| format!("cannot be read: {e}"))?;
    let file: Value =
        serde_json::from_slice(&text).map_err(|e| format!("is not a SARIF file: {e}"))?;
    if file["runs"].is_array() {
        Ok(file)
    } else {
        Err("is not a SARIF file: it has no `runs`".to_owned())
    }
}
