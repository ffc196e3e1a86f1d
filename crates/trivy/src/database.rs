//! The vulnerability database: where it comes from, and how old it is.

mod cached;
mod download;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, Log, with_progress};

use cached::Cached;

/// The public mirrors, in the order in which they are asked.
pub const MIRRORS: &[&str] = &[
    "mirror.gcr.io/aquasec/trivy-db:2",
    "ghcr.io/aquasecurity/trivy-db:2",
    "public.ecr.aws/aquasecurity/trivy-db:2",
];

/// Rounds through the mirrors.
const ROUNDS: u32 = 3;
/// The unit of the pauses between the rounds.
const PAUSE: Duration = Duration::from_millis(1);
/// The oldest database that is taken where nothing else is said: Trivy's own is made every six hours.
pub const MAX_AGE: Duration = Duration::from_secs(48 * 3600);

/// Which database is wanted.
#[derive(Debug, Clone)]
pub struct DatabaseRequest {
    /// OCI repositories, asked in this order; [`MIRRORS`] where there are none.
    pub mirrors: Vec<String>,
    /// Trivy's cache folder.
    pub cache: PathBuf,
    /// Whether the database in the cache is taken, and nobody is asked.
    pub offline: bool,
    /// The oldest database that is taken.
    pub max_age: Duration,
}

/// Where a database came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From this mirror.
    Mirror(String),
    /// From the cache, without asking anybody: it is current, or nobody may be asked.
    Cache,
    /// From the cache, since no mirror gave a newer one; this is what they said.
    Stale(Vec<String>),
}

/// A database that is ready in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// When it was made, RFC 3339.
    pub updated_at: String,
    /// How old it is.
    pub age: Duration,
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
    /// What is in the cache is too old for a verdict.
    #[error("the vulnerability database is {} h old, and `max-database-age` allows {} h: {cure}", .age.as_secs() / 3600, .max.as_secs() / 3600)]
    TooOld {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max: Duration,
        /// What to do.
        cure: String,
    },
    /// The cache can't be written.
    #[error("the vulnerability database could not be put into `{}`: {reason}", .cache.display())]
    Unwritable {
        /// Trivy's cache folder.
        cache: PathBuf,
        /// What is wrong.
        reason: String,
    },
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

impl Database {
    /// Bring the database of the cache up to date.
    ///
    /// # Errors
    /// [`DatabaseError`], with what every mirror said.
    pub async fn provide(request: &DatabaseRequest, log: &Log) -> Result<Self, DatabaseError> {
        Self::with_pauses(request, PAUSE, log).await
    }

    async fn with_pauses(
        request: &DatabaseRequest,
        unit: Duration,
        log: &Log,
    ) -> Result<Self, DatabaseError> {
        let cache = &request.cache;
        let cached = Cached::read(cache)?;
        if request.offline {
            let cached = cached.ok_or_else(|| DatabaseError::NotCached(cache.clone()))?;
            let cure = "fill the cache anew, or allow an older one";
            return fresh_enough(cached, request.max_age, cure, Origin::Cache);
        }
        if let Some(current) = cached.as_ref().filter(|cached| cached.is_current()) {
            let cure = "the mirror has not had a newer one for as long";
            return fresh_enough(current.clone(), request.max_age, cure, Origin::Cache);
        }
        let mirrors = if request.mirrors.is_empty() {
            MIRRORS.iter().map(ToString::to_string).collect()
        } else {
            request.mirrors.clone()
        };
        let http = actions_toolkit::http_client()
            .map_err(|e| DatabaseError::Unreachable(vec![format!("{e:#}")]))?;
        let mut said = Vec::new();
        let mut asked_to_wait = None;
        for round in 0..ROUNDS {
            if round > 0 {
                let wait = asked_to_wait.take().map_or(pause(round), |wait: Duration| {
                    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)
                });
                tokio::time::sleep(unit * wait).await;
            }
            for mirror in &mirrors {
                log.info(format!("fetching the vulnerability database from {mirror}"));
                let what = "fetching the vulnerability database";
                let download = download::from(mirror, cache, &http);
                let reason = match with_progress(log, what, download).await? {
                    Ok(found) => {
                        let cure = "this mirror is not kept up to date, use another one";
                        let origin = Origin::Mirror(mirror.clone());
                        return fresh_enough(found, request.max_age, cure, origin);
                    }
                    Err(reason) => reason,
                };
                log.info(format!("  {mirror} did not give it: {}", reason.text));
                // The first mirror that is ready again will do.
                asked_to_wait = match (asked_to_wait, reason.retry_after) {
                    (Some(one), Some(other)) => Some(Duration::min(one, other)),
                    (one, other) => one.or(other),
                };
                let line = format!("{mirror}: {}", reason.text);
                if !said.contains(&line) {
                    said.push(line);
                }
            }
        }
        match cached {
            Some(cached) => {
                let cure = format!("no mirror gave a newer one ({})", said.join("; "));
                fresh_enough(cached, request.max_age, &cure, Origin::Stale(said))
            }
            None => Err(DatabaseError::Unreachable(said)),
        }
    }
}

fn fresh_enough(
    cached: Cached,
    max: Duration,
    cure: &str,
    origin: Origin,
) -> Result<Database, DatabaseError> {
    let age = cached.age();
    if age > max {
        return Err(DatabaseError::TooOld {
            age,
            max,
            cure: cure.to_owned(),
        });
    }
    Ok(Database {
        updated_at: cached.updated_at,
        age,
        origin,
    })
}

// One second, two seconds, with up to one more: jobs that failed together do not come back together.
fn pause(round: u32) -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    let jitter = RandomState::new().hash_one(round) % 1000;
    500 * 2_u32.pow(round) + u32::try_from(jitter).unwrap_or_default()
}

#[cfg(test)]
mod tests;
