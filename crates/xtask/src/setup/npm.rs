//! Tools that npm has: installed by their lock file in `tools/`, into the cache.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::command::{command, run};
use crate::{paths, say};

/// The path of `program` in what `tools/<name>` holds and its `package-lock.json` names, installed if it is not
/// there.
///
/// # Errors
/// When npm or a package can't be had.
pub(crate) fn provide(name: &str, program: &str) -> anyhow::Result<PathBuf> {
    let source = paths::root().join("tools").join(name);
    // Not `node_modules`, which an editor or a person may have put there.
    let own = |path: &Path| path.parent() == Some(Path::new(""));
    let key = paths::key_of(&source, own, "npm ci")?;
    let folder = paths::cache().join("tools").join(name).join(key);
    let program = folder.join(program);
    // Written last: an installation that was cut off has none.
    let done = folder.join("installed");
    if !done.is_file() {
        say::step(&format!("installing {name}"), || {
            std::fs::create_dir_all(&folder)?;
            for entry in std::fs::read_dir(&source)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
                }
            }
            let install = [
                "ci",
                "--silent",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ];
            run(command("npm", install).current_dir(&folder))?;
            // The packages' own scripts do no more than set a bit, which is set here.
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
        .with_context(|| format!("while making `{}` executable", program.display()))
}
