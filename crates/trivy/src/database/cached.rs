//! The database in the cache.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::DatabaseError;

/// What `metadata.json` says beside a database (`pkg/metadata` of trivy-db).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cached {
    /// When it was made, RFC 3339.
    pub(super) updated_at: String,
    // When there will be a newer one.
    #[serde(default)]
    next_update: String,
}

impl Cached {
    /// The database in `cache`, if there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Damaged`] when its description is unreadable.
    pub(super) fn read(cache: &Path) -> Result<Option<Self>, DatabaseError> {
        let folder = cache.join("db");
        let Ok(text) = std::fs::read(folder.join("metadata.json")) else {
            return Ok(None);
        };
        let damaged = |reason: String| DatabaseError::Damaged {
            cache: cache.to_owned(),
            reason,
        };
        let found: Self = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        let about = folder.join("trivy.db").metadata();
        if !about.is_ok_and(|file| file.is_file() && file.len() > 0) {
            return Err(damaged("there is a description, but no `trivy.db`".into()));
        }
        if found.updated_at.parse::<Timestamp>().is_err() {
            return Err(damaged(format!("{:?} is no time", found.updated_at)));
        }
        Ok(Some(found))
    }

    /// Whether no newer one is to be expected yet, as Trivy itself judges it.
    pub(super) fn is_current(&self) -> bool {
        let next: Option<Timestamp> = self.next_update.parse().ok();
        next.is_some_and(|next| next > Timestamp::now())
    }

    /// How old it is; one from the future is new.
    pub(super) fn age(&self) -> Duration {
        let updated = self.updated_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let age = Timestamp::now().duration_since(updated);
        Duration::try_from(age).unwrap_or_default()
    }
}
