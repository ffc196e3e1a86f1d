//! zizmor, which looks for mistakes of security in workflows and actions: a wheel with the program in it.

use std::path::PathBuf;

use super::command::{command, run};
use crate::{paths, say};

const VERSION: &str = "1.32.0";

/// The program, installed into the cache if it is not there.
///
/// # Errors
/// When Python or the package can't be had.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    let folder = paths::cache().join("tools/zizmor").join(VERSION);
    let program = folder.join("bin/zizmor");
    if !program.is_file() {
        say::step("installing zizmor", || {
            run(command("python3", ["-m", "venv"]).arg(&folder))?;
            let pip = folder.join("bin/pip");
            let package = format!("zizmor=={VERSION}");
            run(&mut command(
                &pip.to_string_lossy(),
                ["install", "--quiet", &package],
            ))
        })?;
    }
    Ok(program)
}
