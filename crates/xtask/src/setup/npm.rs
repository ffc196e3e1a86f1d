//! Tools from npm: installed by their lock file in `tools/`, into the cache.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::command::{command, run};
use crate::{paths, progress};

/// The path of `program` of the package in `tools/<name>`, installed by its `package-lock.json` if it is not there.
///
/// # Errors
/// When npm or a package is unavailable.
pub(crate) fn provide(name: &str, program: &str) -> anyhow::Result<PathBuf> {
    let source = paths::root().join("tools").join(name);
    // Not `node_modules`, which an editor or a person may have put there.
    let is_top = |path: &Path| path.parent() == Some(Path::new(""));
    let key = paths::key_of(&source, is_top, "npm ci")?;
    let directory = paths::cache().join("tools").join(name).join(key);
    let program = directory.join(program);
    // Written last: an interrupted installation has none.
    let done = directory.join("installed");
    if !done.is_file() {
        progress::step(&format!("installing {name}"), || {
            std::fs::create_dir_all(&directory)?;
            for entry in std::fs::read_dir(&source)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), directory.join(entry.file_name()))?;
                }
            }
            let install = [
                "ci",
                "--silent",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ];
            run(command("npm", install).current_dir(&directory))?;
            // The scripts of the packages only set this bit.
            executable(&program)?;
            std::fs::write(&done, "")?;
            Ok(())
        })?;
    }
    Ok(program)
}

fn executable(program: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(program, mode)
        .with_context(|| format!("failed to make `{}` executable", program.display()))
}
