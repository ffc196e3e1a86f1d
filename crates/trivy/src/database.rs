//! The vulnerability database and the Java database: where they come from, and how old they are.

mod cached;
mod download;
mod kind;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, Log, with_progress};
use backon::{ExponentialBuilder, Retryable as _, Sleeper};
use tokio::sync::Mutex;

use crate::Server;
pub(crate) use cached::Cached;
pub use kind::DatabaseKind;

/// The public mirrors, in the order in which they are tried.
pub const MIRRORS: &[&str] = &[
    "mirror.gcr.io/aquasec/trivy-db:2",
    "ghcr.io/aquasecurity/trivy-db:2",
    "public.ecr.aws/aquasecurity/trivy-db:2",
];

/// The same for the Java database.
pub const JAVA_MIRRORS: &[&str] = &[
    "mirror.gcr.io/aquasec/trivy-java-db:1",
    "ghcr.io/aquasecurity/trivy-java-db:1",
    "public.ecr.aws/aquasecurity/trivy-java-db:1",
];

/// Rounds through the mirrors after the first.
const RETRIES: usize = 2;
/// The delay before the second round; it doubles, with jitter, since jobs that failed together would retry together.
const DELAY: Duration = Duration::from_secs(1);
/// The default of `max-database-age`. A new database is published every six hours.
pub const MAX_AGE: Duration = Duration::from_secs(48 * 3600);

/// Where a database comes from, and how old it may be.
#[derive(Debug, Clone)]
pub struct DatabaseRequest {
    /// Which one.
    pub kind: DatabaseKind,
    /// OCI repositories, tried in this order; the public mirrors if there are none.
    pub mirrors: Vec<String>,
    /// Trivy's cache directory.
    pub cache: PathBuf,
    /// Whether to use the cached database without contacting a mirror.
    pub offline: bool,
    /// Maximum age.
    pub max_age: Duration,
    /// The server that has the database in place of the cache; only for [`DatabaseKind::Vulnerabilities`].
    pub server: Option<Server>,
}

impl DatabaseRequest {
    /// Whether it is in the cache, in any state.
    pub(crate) fn is_cached(&self) -> bool {
        self.cache.join(self.kind.directory()).exists()
    }
}

/// The source of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Downloaded from this mirror.
    Mirror(String),
    /// The cache, without contacting a mirror: it is up to date, or `offline` is set.
    Cache,
    /// The cache, since every mirror failed; the error of each one.
    Stale(Vec<String>),
    /// A Trivy server.
    Server {
        /// Its address.
        address: String,
        /// Its version of Trivy.
        version: String,
    },
}

/// A database in the cache, or of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// When it was published, RFC 3339.
    pub updated_at: String,
    /// The time since then.
    pub age: Duration,
    /// Its source.
    pub origin: Origin,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Every mirror failed, and the cache is empty.
    #[error("failed to download the {kind} from any mirror; set `{}` to a mirror that this runner can reach, or fill `cache-directory` and set `offline: true`. Errors: {}", .kind.input(), .errors.join("; "))]
    Unreachable {
        /// Which database.
        kind: DatabaseKind,
        /// The different errors.
        errors: Vec<String>,
    },
    /// `offline` is set, and the cache is empty.
    #[error("`offline` is set, but there is no {kind} in `{}`; fill it in an earlier step", .cache.display())]
    NotCached {
        /// Which database.
        kind: DatabaseKind,
        /// Trivy's cache directory.
        cache: PathBuf,
    },
    /// The database is older than `max-database-age`.
    #[error("the {kind} is {} h old, over the `max-database-age` of {} h; {hint}", .age.as_secs() / 3600, .max.as_secs() / 3600)]
    TooOld {
        /// Which database.
        kind: DatabaseKind,
        /// Its age.
        age: Duration,
        /// Its maximum age.
        max: Duration,
        /// What to do, or why there is no newer one.
        hint: String,
    },
    /// The cache can't be written.
    #[error("failed to write the {kind} to `{}`: {reason}", .cache.display())]
    Unwritable {
        /// Which database.
        kind: DatabaseKind,
        /// Trivy's cache directory.
        cache: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The server does not respond, or has no database.
    #[error("failed to use the Trivy server at `{address}` (`trivy-server`): {reason}")]
    Server {
        /// The server.
        address: String,
        /// The cause.
        reason: String,
    },
    /// The cached database is incomplete.
    #[error("the {kind} in `{}` is damaged ({reason}); remove the directory and run again", .cache.display())]
    Damaged {
        /// Which database.
        kind: DatabaseKind,
        /// Trivy's cache directory.
        cache: PathBuf,
        /// The cause.
        reason: String,
    },
}

/// Trivy's default cache directory. It belongs to the user, not to the checkout, so later runs on the machine reuse it.
pub fn default_cache(env: &Env) -> PathBuf {
    let base = env.get("XDG_CACHE_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| Path::new(env.get("HOME").unwrap_or("/tmp")).join(".cache"))
        .join("trivy")
}

impl Database {
    /// Update the database in the cache, unless it is up to date; or check that of the server.
    ///
    /// # Errors
    /// [`DatabaseError`], with the error of every mirror.
    pub async fn provide(request: &DatabaseRequest, log: &Log) -> Result<Self, DatabaseError> {
        Self::provide_with(request, tokio::time::sleep, log).await
    }

    async fn provide_with(
        request: &DatabaseRequest,
        sleep: impl Sleeper,
        log: &Log,
    ) -> Result<Self, DatabaseError> {
        let DatabaseRequest { kind, cache, .. } = request;
        let kind = *kind;
        let within_age =
            |cached, hint: &str, origin| within_age(kind, cached, request, hint, origin);
        if let Some(server) = &request.server {
            let (version, database) = server.database().await?;
            let address = server.to_string();
            log.info(format!(
                "using the vulnerability database of the Trivy server at {address} (Trivy {version})"
            ));
            let hint = "the server at `trivy-server` has not updated it";
            return within_age(database, hint, Origin::Server { address, version });
        }
        let cached = Cached::read(kind, cache)?;
        if request.offline {
            let not_cached = || DatabaseError::NotCached {
                kind,
                cache: cache.clone(),
            };
            let hint = "fill the cache again, or raise `max-database-age`";
            return within_age(cached.ok_or_else(not_cached)?, hint, Origin::Cache);
        }
        if let Some(current) = cached.as_ref().filter(|cached| cached.is_current()) {
            let hint = "the mirror has published no newer one since";
            return within_age(current.clone(), hint, Origin::Cache);
        }
        match download(request, sleep, log).await? {
            Ok((mirror, database)) => {
                let hint = "this mirror is not kept up to date; use another one";
                within_age(database, hint, Origin::Mirror(mirror))
            }
            Err(errors) => match cached {
                Some(cached) => {
                    let hint = format!("no mirror has a newer one ({})", errors.join("; "));
                    within_age(cached, &hint, Origin::Stale(errors))
                }
                None => Err(DatabaseError::Unreachable { kind, errors }),
            },
        }
    }
}

/// The mirror that responded and its database, or the different errors of all mirrors in all rounds.
type Downloaded = Result<(String, Cached), Vec<String>>;

/// A round in which no mirror had the database, or an error that a retry does not fix.
enum Round {
    /// The shortest delay that a mirror requested.
    AllFailed {
        retry_after: Option<Duration>,
    },
    Fatal(DatabaseError),
}

async fn download(
    request: &DatabaseRequest,
    sleep: impl Sleeper,
    log: &Log,
) -> Result<Downloaded, DatabaseError> {
    let mirrors = if request.mirrors.is_empty() {
        let mirrors = request.kind.mirrors().iter();
        mirrors.map(ToString::to_string).collect()
    } else {
        request.mirrors.clone()
    };
    let http = http_client::Client::new().map_err(|e| DatabaseError::Unreachable {
        kind: request.kind,
        errors: vec![format!("{e:#}")],
    })?;
    let retries = ExponentialBuilder::new()
        .with_min_delay(DELAY)
        .with_max_times(RETRIES)
        .with_jitter();
    let errors = Mutex::new(Vec::new());
    let round = || round(&mirrors, request, &http, &errors, log);
    let downloaded = round
        .retry(retries)
        .sleep(sleep)
        .when(|round| matches!(round, Round::AllFailed { .. }))
        .adjust(|round, delay| match (round, delay) {
            // The first mirror that is available again is enough.
            (
                Round::AllFailed {
                    retry_after: Some(after),
                },
                Some(_),
            ) => Some(*after),
            (_, delay) => delay,
        })
        .await;
    match downloaded {
        Ok(downloaded) => Ok(Ok(downloaded)),
        Err(Round::Fatal(error)) => Err(error),
        Err(Round::AllFailed { .. }) => Ok(Err(errors.into_inner())),
    }
}

// Try each mirror once.
async fn round(
    mirrors: &[String],
    request: &DatabaseRequest,
    http: &http_client::Client,
    errors: &Mutex<Vec<String>>,
    log: &Log,
) -> Result<(String, Cached), Round> {
    let mut retry_after = None;
    for mirror in mirrors {
        let what = format!("downloading the {}", request.kind);
        log.info(format!("{what} from {mirror}"));
        let download = download::download(request.kind, mirror, &request.cache, http, log);
        let reason = match with_progress(log, &what, download)
            .await
            .map_err(Round::Fatal)?
        {
            Ok(database) => return Ok((mirror.clone(), database)),
            Err(reason) => reason,
        };
        log.info(format!("  {mirror} failed: {}", reason.text));
        retry_after = match (retry_after, reason.retry_after) {
            (Some(one), Some(other)) => Some(Duration::min(one, other)),
            (one, other) => one.or(other),
        };
        let line = format!("{mirror}: {}", reason.text);
        let mut errors = errors.lock().await;
        if !errors.contains(&line) {
            errors.push(line);
        }
    }
    Err(Round::AllFailed { retry_after })
}

fn within_age(
    kind: DatabaseKind,
    cached: Cached,
    request: &DatabaseRequest,
    hint: &str,
    origin: Origin,
) -> Result<Database, DatabaseError> {
    let age = cached.age();
    let max = kind.max_age(request.max_age);
    if age > max {
        return Err(DatabaseError::TooOld {
            kind,
            age,
            max,
            hint: hint.to_owned(),
        });
    }
    Ok(Database {
        updated_at: cached.updated_at,
        age,
        origin,
    })
}

/// The archive of a database, unpacked into `directory`.
#[cfg(fuzzing)]
pub(crate) fn fuzz(archive: &Path, directory: &Path) {
    if download::unpack(DatabaseKind::Vulnerabilities, archive, directory).is_ok() {
        let _ = Cached::read(DatabaseKind::Vulnerabilities, directory);
    }
}

#[cfg(test)]
mod tests;
