//! `@actions/workflow-parser`, GitHub's own parser of workflows and actions.

use std::path::PathBuf;

use super::command::{command, run};
use crate::{paths, say};

/// The script that runs the parser, beside its installed packages in the cache.
///
/// # Errors
/// When npm or a package can't be had.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    const FILES: [&str; 4] = ["package.json", "package-lock.json", "json.mjs", "check.mjs"];
    let source = paths::root().join("tools/workflow-parser");
    // Not `node_modules`, which an editor or a person may have put there.
    let key = paths::key_of(&source, |name| FILES.iter().any(|f| name == *f), "npm ci")?;
    let folder = paths::cache().join("tools/workflow-parser").join(key);
    let script = folder.join("check.mjs");
    if !script.is_file() {
        say::step("installing workflow-parser", || {
            std::fs::create_dir_all(&folder)?;
            for file in &FILES[..3] {
                std::fs::copy(source.join(file), folder.join(file))?;
            }
            let install = [
                "ci",
                "--silent",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ];
            run(command("npm", install).current_dir(&folder))?;
            // Last: it stands for a finished installation.
            std::fs::copy(source.join(FILES[3]), &script)?;
            Ok(())
        })?;
    }
    Ok(script)
}
