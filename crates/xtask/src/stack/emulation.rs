//! The emulator of arm64: QEMU, registered with the kernel (docs.kernel.org/admin-guide/binfmt-misc.html).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::paths;
use crate::setup::command::{command, run};

const DIRECTORY: &str = "/proc/sys/fs/binfmt_misc";
const NAME: &str = "qemu-aarch64";
/// How the kernel recognizes a program for arm64, by Debian's package.
const RULE: &str = "/usr/lib/binfmt.d/qemu-aarch64.conf";

// What was changed, to be restored.
fn record(what: &str) -> PathBuf {
    paths::state().join(format!("emulation-{what}"))
}

/// Let the kernel run programs for arm64, in containers too, unless it does.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn start() -> anyhow::Result<()> {
    if std::env::consts::ARCH == "aarch64" {
        return Ok(());
    }
    let register = Path::new(DIRECTORY).join("register");
    if !register.exists() {
        run(&mut command(
            "mount",
            ["-t", "binfmt_misc", "binfmt_misc", DIRECTORY],
        ))
        .context("failed to mount what registers emulators with the kernel")?;
        std::fs::write(record("mounted"), "")?;
    }
    let entry = Path::new(DIRECTORY).join(NAME);
    if !entry.exists() {
        let rule = std::fs::read_to_string(RULE)
            .with_context(|| format!("failed to read `{RULE}` of `qemu-user-static`"))?;
        std::fs::write(&register, rule.trim_end()).context("failed to register the emulator")?;
        std::fs::write(record("registered"), "")?;
    }
    // With the flag F, the kernel holds the emulator open, and containers need not have it.
    let known = std::fs::read_to_string(&entry).context("failed to read the emulator's entry")?;
    let flags = known.lines().find_map(|line| line.strip_prefix("flags:"));
    ensure!(
        flags.is_some_and(|flags| flags.contains('F')),
        "the emulator of arm64 is registered without the flag F, so containers do not find it; register it with that flag (`update-binfmts`)"
    );
    Ok(())
}

/// Undo that.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn stop() -> anyhow::Result<()> {
    if record("registered").exists() {
        let entry = Path::new(DIRECTORY).join(NAME);
        if entry.exists() {
            std::fs::write(entry, "-1").context("failed to remove the emulator of arm64")?;
        }
        std::fs::remove_file(record("registered"))?;
    }
    if record("mounted").exists() {
        run(&mut command("umount", [DIRECTORY]))
            .with_context(|| format!("failed to unmount `{DIRECTORY}`"))?;
        std::fs::remove_file(record("mounted"))?;
    }
    Ok(())
}
