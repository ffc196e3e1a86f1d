//! The vulnerability database: where it comes from, and how old it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, Log};
use serde::Deserialize;

use crate::{HYGIENE, tool};

/// The public mirrors, in the order in which they are asked.
pub const MIRRORS: &[&str] = &[
    "mirror.gcr.io/aquasec/trivy-db:2",
    "ghcr.io/aquasecurity/trivy-db:2",
    "public.ecr.aws/aquasecurity/trivy-db:2",
];

/// Rounds through the mirrors.
const ROUNDS: u32 = 3;
/// The limit of one download.
const LIMIT: Duration = Duration::from_secs(300);

/// Which database is wanted.
#[derive(Debug, Clone)]
pub struct DatabaseRequest {
    /// OCI repositories, asked in this order; [`MIRRORS`] where there are none.
    pub mirrors: Vec<String>,
    /// Trivy's cache folder.
    pub cache: PathBuf,
    /// Whether the database in the cache is taken as it is.
    pub offline: bool,
}

/// Where a database came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From this mirror, or confirmed by it to be current.
    Mirror(String),
    /// From the cache, without asking anybody.
    Cache,
}

/// A database that is ready in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// When it was made, RFC 3339.
    pub updated_at: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No mirror gave it.
    #[error("no mirror gave the vulnerability database: set `db-repositories` to one that this runner reaches, or fill `cache-directory` and set `offline: true`. They said: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// Nobody may be asked, and the cache has none.
    #[error("`offline` is set, but there is no vulnerability database in `{}`: fill it in an earlier step", .0.display())]
    NotCached(PathBuf),
    /// What is in the cache can't be read.
    #[error("the vulnerability database in `{}` is damaged ({reason}): remove the folder and run again", .cache.display())]
    Damaged {
        /// Trivy's cache folder.
        cache: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Trivy's cache folder where none is given: it stays with the machine, not with the checkout.
pub fn default_cache(env: &Env) -> PathBuf {
    let base = env.get("XDG_CACHE_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| Path::new(env.get("HOME").unwrap_or("/tmp")).join(".cache"))
        .join("trivy")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    updated_at: String,
}

impl Database {
    /// Bring the database of the cache up to date.
    ///
    /// Trivy itself goes on to another mirror only after some errors (not after a name that is not
    /// found, a refused connection or 404), so every mirror gets a run of its own.
    ///
    /// # Errors
    /// [`DatabaseError`], with what every mirror said.
    pub async fn provide(
        request: &DatabaseRequest,
        env: &Env,
        log: &Log,
    ) -> Result<Self, DatabaseError> {
        let cache = &request.cache;
        if request.offline {
            return Self::cached(cache)?.ok_or_else(|| DatabaseError::NotCached(cache.clone()));
        }
        let public = || MIRRORS.iter().map(ToString::to_string).collect();
        let mirrors = if request.mirrors.is_empty() {
            public()
        } else {
            request.mirrors.clone()
        };
        let mut said = Vec::new();
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(pause(round)).await;
            }
            for mirror in &mirrors {
                match download(mirror, cache, env, log).await {
                    Ok(()) => {
                        let found = Self::cached(cache)?
                            .ok_or_else(|| DatabaseError::NotCached(cache.clone()))?;
                        return Ok(Self {
                            origin: Origin::Mirror(mirror.clone()),
                            ..found
                        });
                    }
                    Err(reason) => {
                        log.info(format!(
                            "the database could not be fetched from {mirror}: {reason}"
                        ));
                        let line = format!("{mirror}: {reason}");
                        if !said.contains(&line) {
                            said.push(line);
                        }
                    }
                }
            }
        }
        Err(DatabaseError::Unreachable(said))
    }

    fn cached(cache: &Path) -> Result<Option<Self>, DatabaseError> {
        let Ok(text) = std::fs::read(cache.join("db/metadata.json")) else {
            return Ok(None);
        };
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|e| DatabaseError::Damaged {
                cache: cache.to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Some(Self {
            updated_at: metadata.updated_at,
            origin: Origin::Cache,
        }))
    }
}

async fn download(mirror: &str, cache: &Path, env: &Env, log: &Log) -> Result<(), String> {
    let tool = tool(env)
        .args(["image", "--download-db-only", "--no-progress"])
        .args(HYGIENE)
        .args(["--db-repository", mirror, "--cache-dir"])
        .arg(cache)
        .limit(LIMIT);
    match tool
        .stream(log, &format!("vulnerability database from {mirror}"))
        .await
    {
        Ok(done) if done.code() == Some(0) => Ok(()),
        Ok(done) => {
            let last = done.tail.iter().rev().find(|line| !line.trim().is_empty());
            Err(last.cloned().unwrap_or_else(|| done.ending()))
        }
        Err(e) => Err(format!("{e:#}")),
    }
}

// With jitter: jobs that failed together do not come back together.
fn pause(round: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let jitter = RandomState::new().hash_one(round) % 1000;
    Duration::from_millis(1000 * u64::from(2_u32.pow(round)) + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cache: &Path) -> DatabaseRequest {
        DatabaseRequest {
            mirrors: Vec::new(),
            cache: cache.to_owned(),
            offline: true,
        }
    }

    #[tokio::test]
    async fn offline_the_cache_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let provide = async || {
            Database::provide(&request(folder.path()), &Env::default(), &Log::sink()).await
        };
        assert!(matches!(provide().await, Err(DatabaseError::NotCached(_))));
        std::fs::create_dir(folder.path().join("db")).unwrap();
        std::fs::write(folder.path().join("db/metadata.json"), "{").unwrap();
        assert!(matches!(
            provide().await,
            Err(DatabaseError::Damaged { .. })
        ));
        std::fs::write(
            folder.path().join("db/metadata.json"),
            r#"{"Version":2,"UpdatedAt":"2026-11-22T06:00:00Z"}"#,
        )
        .unwrap();
        let found = provide().await.unwrap();
        assert_eq!(
            (found.updated_at.as_str(), found.origin),
            ("2026-11-22T06:00:00Z", Origin::Cache)
        );
    }
}
