//! The files that the step writes, where another step that runs at the same time writes files of the same names.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;

use actions_toolkit::{Context, WorkspacePath};
use oci::Digest;

/// Steps that run at the same time in one workspace.
const STEPS: usize = 100;

/// Names that no other running step has. The kernel lets go of them with the process, however that ends.
pub(crate) struct Claim {
    _locks: Vec<File>,
}

impl Claim {
    /// Claim `files`. If a running step has one of the names, all of them get the suffix `step-2`, `step-3`, ….
    pub(super) fn new(ctx: &Context, files: &mut [&mut WorkspacePath]) -> Self {
        for number in 1..=STEPS {
            let name = |file: &WorkspacePath| match number {
                1 => file.clone(),
                number => file.suffixed(&format!("step-{number}")),
            };
            let names: Vec<_> = files.iter().map(|file| name(file)).collect();
            let locks: Result<Vec<_>, Taken> = names.iter().map(|name| lock(ctx, name)).collect();
            let Ok(locks) = locks else {
                continue;
            };
            for (file, name) in files.iter_mut().zip(names) {
                if number > 1 {
                    ctx.log().info(format!(
                        "another step writes `{}` at the same time: this one writes `{}`",
                        file.relative(),
                        name.relative()
                    ));
                }
                **file = name;
            }
            return Self {
                _locks: locks.into_iter().flatten().collect(),
            };
        }
        Self { _locks: Vec::new() }
    }
}

/// Another process has a name.
struct Taken;

// Where no lock can be made, nothing is known of other steps.
fn lock(ctx: &Context, file: &WorkspacePath) -> Result<Option<File>, Taken> {
    let digest = Digest::sha256(file.absolute().to_string_lossy().as_bytes());
    let name: String = digest.hex().chars().take(16).collect();
    let path = ctx.temp_dir().join(format!("trivy-scan-{name}.lock"));
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .ok();
    match lock.as_ref().map(File::try_lock) {
        Some(Err(TryLockError::WouldBlock)) => Err(Taken),
        _ => Ok(lock),
    }
}
