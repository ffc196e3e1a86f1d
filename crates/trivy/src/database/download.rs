//! One download.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use actions_toolkit::{Env, Log};

use super::DatabaseError;
use super::cached::Cached;
use crate::{HYGIENE, tool};

/// The limit of one download.
const LIMIT: Duration = Duration::from_secs(300);

/// Fetch the database from `mirror` into `cache`; the reason if the mirror does not give it.
///
/// Trivy takes the old database apart before it has the new one, so it works in a folder of its own beside it,
/// and what is complete takes the old one's place.
pub(super) async fn from(
    mirror: &str,
    cache: &Path,
    env: &Env,
    log: &Log,
) -> Result<Result<Cached, String>, DatabaseError> {
    let unwritable = |e: std::io::Error| DatabaseError::Unwritable {
        cache: cache.to_owned(),
        reason: e.to_string(),
    };
    let owner = owner(cache);
    std::fs::create_dir_all(cache).map_err(unwritable)?;
    let beside = tempfile::Builder::new()
        .prefix(".database-")
        .tempdir_in(cache)
        .map_err(unwritable)?;
    let tool = tool(env)
        .args(["image", "--download-db-only", "--no-progress"])
        .args(HYGIENE)
        .args(["--db-repository", mirror, "--cache-dir"])
        .arg(beside.path())
        .limit(LIMIT);
    let title = format!("vulnerability database from {mirror}");
    let done = match tool.stream(log, &title).await {
        Ok(done) => done,
        Err(e) => return Ok(Err(format!("{e:#}"))),
    };
    if done.code() != Some(0) {
        let last = done.tail.iter().rev().find(|line| !line.trim().is_empty());
        return Ok(Err(last.cloned().unwrap_or_else(|| done.ending())));
    }
    let found = match Cached::read(beside.path()) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Err("it gave something else than a database".into())),
        Err(_) => return Ok(Err("what it gave is no whole database".into())),
    };
    replace(&beside.path().join("db"), &cache.join("db"), owner).map_err(unwritable)?;
    Ok(Ok(found))
}

// Whose the cache is, or will be: the runner stores it after the step, and may be another user.
fn owner(cache: &Path) -> Option<(u32, u32)> {
    let there = cache.ancestors().find_map(|path| path.metadata().ok())?;
    Some((there.uid(), there.gid()))
}

fn replace(new: &Path, old: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    for path in [
        new.to_owned(),
        new.join("metadata.json"),
        new.join("trivy.db"),
    ] {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        if let Some((user, group)) = owner {
            // Only root may give a file away; anybody else owns it already.
            let _ = std::os::unix::fs::chown(&path, Some(user), Some(group));
        }
    }
    match std::fs::remove_dir_all(old) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::rename(new, old)
}
