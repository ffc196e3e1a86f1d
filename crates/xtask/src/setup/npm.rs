//! Tools that npm has: installed by their lock file in `tools/`, into the cache.

use std::path::PathBuf;

use anyhow::Context as _;

use super::command::{command, run};
use crate::{paths, say};

/// The folder of `program`, a path in what `tools/<name>/package-lock.json` names, installed if it is not there.
///
/// # Errors
/// When npm or the package can't be had.
pub(crate) fn provide(name: &str, program: &str) -> anyhow::Result<PathBuf> {
    let source = paths::root().join("tools").join(name);
    let read = |file: &str| {
        std::fs::read_to_string(source.join(file))
            .with_context(|| format!("while reading `tools/{name}/{file}`"))
    };
    let (package, lock) = (read("package.json")?, read("package-lock.json")?);
    let key = paths::key_of_text(&lock);
    let folder = paths::cache().join("tools").join(name).join(key);
    let program = folder.join(program);
    // Written last: an installation that was cut off has none.
    let done = folder.join("installed");
    if !done.is_file() {
        say::step(&format!("installing {name}"), || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("package.json"), &package)?;
            std::fs::write(folder.join("package-lock.json"), &lock)?;
            // The packages' own scripts do no more than set a bit, which is set here.
            run(
                command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(&folder),
            )?;
            executable(&program)?;
            std::fs::write(&done, "")?;
            Ok(())
        })?;
    }
    let parent = program.parent().context("a program is in a folder")?;
    Ok(parent.to_owned())
}

fn executable(program: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(program, mode)
        .with_context(|| format!("while making `{}` executable", program.display()))
}
