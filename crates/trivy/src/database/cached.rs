//! The database in the cache.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{DatabaseError, DatabaseKind};

/// Bytes of the largest `metadata.json`.
const LIMIT: usize = limits::MIB;

/// The `metadata.json` next to a database (`pkg/metadata` of trivy-db).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Cached {
    /// When it was published, RFC 3339.
    pub(crate) updated_at: String,
    // When the next one is published.
    #[serde(default)]
    next_update: String,
}

impl Cached {
    /// The metadata of the database of `kind` in `cache`, if there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Damaged`] when the metadata is unreadable or the database is missing.
    pub(super) fn read(kind: DatabaseKind, cache: &Path) -> Result<Option<Self>, DatabaseError> {
        let directory = cache.join(kind.directory());
        let Ok(text) = limits::read(&directory, "metadata.json".as_ref(), LIMIT) else {
            return Ok(None);
        };
        let damaged = |reason: String| DatabaseError::Damaged {
            kind,
            cache: cache.to_owned(),
            reason,
        };
        let cached: Self = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        let file = directory.join(kind.file()).metadata();
        if !file.is_ok_and(|file| file.is_file() && file.len() > 0) {
            return Err(damaged(format!(
                "there is `metadata.json`, but no `{}`",
                kind.file()
            )));
        }
        if !cached.has_time() {
            return Err(damaged(format!("invalid time {:?}", cached.updated_at)));
        }
        Ok(Some(cached))
    }

    /// Whether the time of its publication is one.
    pub(crate) fn has_time(&self) -> bool {
        self.updated_at.parse::<Timestamp>().is_ok()
    }

    /// Whether no newer one is expected yet, by the same test as Trivy.
    pub(super) fn is_current(&self) -> bool {
        let next: Option<Timestamp> = self.next_update.parse().ok();
        next.is_some_and(|next| next > Timestamp::now())
    }

    /// The time since it was published; zero if that is in the future.
    pub(super) fn age(&self) -> Duration {
        let updated = self.updated_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let age = Timestamp::now().duration_since(updated);
        Duration::try_from(age).unwrap_or_default()
    }
}
