//! A VEX repository (github.com/aquasecurity/vex-repo-spec, v0.1) in Trivy's cache, in the form in which Trivy keeps it
//! (`pkg/vex/repo/repo.go` of Trivy): `vex-repository.json`, `cache.json` and the directory `0.1`.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::{Context as _, anyhow, bail, ensure};
use backon::{ExponentialBuilder, Retryable as _};
use http_client::{Redirects, Url};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use trivy::DatabaseRequest;

use super::archive::{self, ARCHIVE_LIMIT};
use crate::request::{Place, RepositorySource};

/// The version of the specification, and the name of the directory with its documents.
pub(super) const VERSION: &str = "0.1";
const MANIFEST: &str = "vex-repository.json";
const METADATA: &str = "cache.json";
const INDEX: &str = "index.json";

const MANIFEST_LIMIT: u64 = 1 << 20;
const INDEX_LIMIT: usize = 64 * limits::MIB;
/// Of one download.
const TIMEOUT: Duration = Duration::from_mins(2);
const RETRIES: usize = 2;
/// Locations of a manifest that are tried: each may take the whole timeout.
const LOCATIONS: usize = 5;
/// Bounds of the interval of updates that a repository names.
const INTERVALS: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(24));

/// A repository that Trivy can read.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    /// Its URL without a password, or its directory.
    pub(crate) title: String,
    /// The directory with its index.
    pub(crate) path: PathBuf,
    /// The day of its index; empty if it has none.
    date: String,
    /// The packages that it has documents on, as package URLs without version and qualifiers.
    packages: HashSet<String>,
    /// Why there is no newer one.
    pub(crate) stale: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    updated_at: String,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
}

/// A manifest with its locations, which is an index too.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Index>(bytes);
    let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(version) = version(&manifest) {
        let locations = version["locations"].as_array().into_iter().flatten();
        locations
            .filter_map(|location| location["url"].as_str())
            .for_each(|url| {
                split(url);
            });
    }
}

/// What is known of a repository in the cache.
struct Cached {
    /// Since its last update.
    age: Duration,
    interval: Duration,
}

impl Repository {
    /// The repository `source`: a directory as it is, otherwise in the cache of `database`, updated if it is due.
    ///
    /// # Errors
    /// When it is unavailable and the cache has none, or one that is older than the maximum age of `database`.
    pub(super) async fn provide(
        ctx: &Context,
        source: &RepositorySource,
        database: &DatabaseRequest,
    ) -> anyhow::Result<Self> {
        let title = &source.title;
        let url = match &source.place {
            Place::Directory(path) => {
                return Self::read(source, path.clone())
                    .with_context(|| format!("failed to read the VEX repository {title}"));
            }
            Place::Url(url) => url,
        };
        let parent = database.cache.join("vex/repositories");
        let directory = parent.join(&source.name);
        let own = || Self::read(source, directory.join(VERSION));
        let cached = Cached::read(&directory).filter(|_| own().is_ok());
        let is_due = cached
            .as_ref()
            .is_none_or(|cached| cached.age > cached.interval);
        let mut stale = None;
        if database.offline || !is_due {
            let Some(cached) = &cached else {
                bail!(
                    "`offline` is set, but there is no VEX repository {title} in `{}`; fill it in an earlier step",
                    directory.display()
                );
            };
            let hint = "fill the cache again, or raise `max-database-age`";
            cached.check_age(title, database, hint)?;
        } else {
            let download = || download(ctx, url, &parent, &directory);
            let retries = ExponentialBuilder::new()
                .with_max_times(RETRIES)
                .with_jitter();
            if let Err(error) = download.retry(retries).await {
                let error = format!("{error:#}");
                let Some(cached) = &cached else {
                    bail!(
                        "failed to download the VEX repository {title}: {error}; set `vex-repositories` to one that this runner can reach, or to a directory"
                    );
                };
                cached.check_age(title, database, &format!("there is no newer one ({error})"))?;
                stale = Some(error);
            }
        }
        let repository =
            own().with_context(|| format!("the VEX repository {title} in the cache is damaged"))?;
        Ok(Self {
            stale,
            ..repository
        })
    }

    fn read(source: &RepositorySource, path: PathBuf) -> anyhow::Result<Self> {
        let text = limits::read(&path, INDEX.as_ref(), INDEX_LIMIT)
            .with_context(|| format!("`{INDEX}` cannot be read"))?;
        let index: Index =
            serde_json::from_slice(&text).with_context(|| format!("`{INDEX}` is invalid"))?;
        let date = index.updated_at.parse::<Timestamp>();
        Ok(Self {
            name: source.name.clone(),
            title: source.title.clone(),
            path,
            date: date.map_or_else(
                |_| String::new(),
                |date| date.strftime("%Y-%m-%d").to_string(),
            ),
            packages: index
                .packages
                .into_iter()
                .map(|package| package.id)
                .collect(),
            stale: None,
        })
    }

    /// Its name and day, for a person.
    pub(crate) fn about(&self) -> String {
        if self.date.is_empty() {
            return format!("VEX repository {}", self.title);
        }
        format!("VEX repository {} of {}", self.title, self.date)
    }

    /// On how many of `packages` it has a document.
    pub(crate) fn count_documents(&self, packages: &BTreeSet<&str>) -> usize {
        let known = packages.iter().filter(|one| self.packages.contains(**one));
        known.count()
    }
}

impl Cached {
    fn read(directory: &Path) -> Option<Self> {
        let json = |name: &str| -> Option<Value> {
            let text = limits::read(directory, name.as_ref(), limits::MIB).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let updated: Timestamp = json(METADATA)?["UpdatedAt"].as_str()?.parse().ok()?;
        let age = Timestamp::now().duration_since(updated);
        let manifest = json(MANIFEST).unwrap_or_default();
        let interval = version(&manifest).and_then(|version| {
            let text = version["update_interval"].as_str()?;
            let interval: jiff::SignedDuration = text.parse().ok()?;
            Duration::try_from(interval).ok()
        });
        Some(Self {
            // Of the future: a clock that was wrong.
            age: Duration::try_from(age).unwrap_or_default(),
            interval: interval
                .unwrap_or(INTERVALS.1)
                .clamp(INTERVALS.0, INTERVALS.1),
        })
    }

    fn check_age(&self, title: &str, database: &DatabaseRequest, hint: &str) -> anyhow::Result<()> {
        ensure!(
            self.age <= database.max_age,
            "the VEX repository {title} in the cache is {} h old, over the `max-database-age` of {} h; {hint}",
            self.age.as_secs() / 3600,
            database.max_age.as_secs() / 3600
        );
        Ok(())
    }
}

// The part of `manifest` that is of this version: an entry of a list, or a value of an object in older ones.
fn version(manifest: &Value) -> Option<&Value> {
    let versions: Vec<&Value> = match &manifest["versions"] {
        Value::Array(versions) => versions.iter().collect(),
        Value::Object(versions) => versions.values().collect(),
        _ => return None,
    };
    let is_it = |entry: &&Value| {
        let version = entry["spec_version"].as_str().unwrap_or_default();
        version.trim_start_matches('v') == VERSION
    };
    versions.into_iter().find(is_it)
}

// It replaces the one in the cache when it is complete.
async fn download(ctx: &Context, url: &Url, parent: &Path, directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(parent)?;
    // In the cache, so that it can be moved: a run that is killed leaves it there, and the next download removes it.
    let temporary = PrivateDirectory::create_in(parent, "vex")?;
    let manifest = get(ctx, manifest_url(url)?).await?;
    let manifest = manifest.bytes(MANIFEST_LIMIT).await?;
    let parsed: Value = serde_json::from_slice(&manifest)
        .with_context(|| format!("its `{MANIFEST}` is not JSON"))?;
    let version = version(&parsed)
        .with_context(|| format!("its `{MANIFEST}` does not have the version {VERSION}"))?;
    let locations = version["locations"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    ensure!(!locations.is_empty(), "its `{MANIFEST}` names no location");
    let new = temporary.path().join("new");
    let mut errors = Vec::new();
    for location in locations.iter().take(LOCATIONS) {
        let location = location["url"].as_str().unwrap_or_default();
        let _ = std::fs::remove_dir_all(&new);
        std::fs::create_dir_all(new.join(VERSION))?;
        match fetch(ctx, url, location, temporary.path(), &new.join(VERSION)).await {
            Ok(()) => {
                std::fs::write(new.join(MANIFEST), &manifest)?;
                let updated = json!({"UpdatedAt": Timestamp::now().to_string(), "ETags": {}});
                std::fs::write(new.join(METADATA), updated.to_string())?;
                give_to_owner(&new, parent);
                let old = temporary.path().join("old");
                match std::fs::rename(directory, &old) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                    _ => {}
                }
                std::fs::rename(&new, directory)?;
                return Ok(());
            }
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    Err(anyhow!(errors.join("; ")))
}

// The runner may store the cache as another user, who must be able to update it.
fn give_to_owner(new: &Path, cache: &Path) {
    let Ok(owner) = cache.metadata() else { return };
    for entry in walkdir::WalkDir::new(new).into_iter().flatten() {
        // Only root may change the owner; any other user owns the files already.
        let _ = std::os::unix::fs::lchown(entry.path(), Some(owner.uid()), Some(owner.gid()));
    }
}

// vex-repo-spec, 2.2.
fn manifest_url(repository: &Url) -> anyhow::Result<Url> {
    let mut url = repository.clone();
    let path = url.path().trim_matches('/').to_owned();
    if url.host_str() == Some("github.com") {
        url.set_host(Some("raw.githubusercontent.com"))?;
        // Its password is for the other host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_path(&format!("{path}/HEAD/{MANIFEST}"));
    } else {
        url.set_path(&format!("{path}/.well-known/{MANIFEST}"));
    }
    Ok(url)
}

// An archive, and the directory in it, in the form of github.com/hashicorp/go-getter: `https://host/a.tar.gz//directory`.
fn split(location: &str) -> Option<(Url, &str)> {
    let start = location.find("://")? + 3;
    let inside = location[start..].find("//").map(|at| start + at);
    let (archive, inside) = match inside {
        Some(at) => (&location[..at], location[at + 2..].trim_matches('/')),
        None => (location, ""),
    };
    Some((archive.parse().ok()?, inside))
}

async fn fetch(
    ctx: &Context,
    repository: &Url,
    location: &str,
    temporary: &Path,
    into: &Path,
) -> anyhow::Result<()> {
    let (mut url, inside) =
        split(location).with_context(|| format!("its location `{location}` is not a URL"))?;
    ensure!(
        http_client::is_confidential(&url),
        "its location `{location}` is not a URL with `https`"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "its location has user information"
    );
    if url.origin() == repository.origin() {
        // Another host does not get the password.
        let _ = url.set_username(repository.username());
        let _ = url.set_password(repository.password());
    }
    let response = get(ctx, url).await?;
    let archive = temporary.join("archive");
    let mut file = tokio::fs::File::create(&archive).await?;
    response.save(&mut file, ARCHIVE_LIMIT, |_| {}).await?;
    let (inside, into) = (inside.to_owned(), into.to_owned());
    let unpacked = tokio::task::spawn_blocking(move || {
        archive::unpack(&archive, &inside, &into)?;
        let text = limits::read(&into, INDEX.as_ref(), INDEX_LIMIT);
        let text = text.with_context(|| format!("its archive has no `{INDEX}`"))?;
        let index = serde_json::from_slice::<Index>(&text);
        index
            .map(drop)
            .with_context(|| format!("its `{INDEX}` is invalid"))
    });
    unpacked.await?
}

// A password in the URL is sent as its host's alone: redirects to other hosts do not carry it.
async fn get(ctx: &Context, url: Url) -> anyhow::Result<http_client::Response> {
    let request = ctx.http()?.get(url);
    let request = request.redirects(Redirects::Reads).timeout(TIMEOUT);
    let response = request.send().await?;
    ensure!(
        response.status().is_success(),
        "`{}` responded with {}",
        response.host(),
        response.status()
    );
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_and_versions_are_read() {
        let table = [
            (
                "https://a.example/v.tar.gz//hub-main",
                "https://a.example/v.tar.gz",
                "hub-main",
            ),
            ("https://a.example/v.zip", "https://a.example/v.zip", ""),
            ("https://a.example//x/", "https://a.example/", "x"),
        ];
        for (location, url, inside) in table {
            let (found, directory) = split(location).unwrap();
            assert_eq!((found.as_str(), directory), (url, inside));
        }
        assert_eq!(split("v.tar.gz"), None);
        let entry = json!({"spec_version": "v0.1", "update_interval": "24h"});
        for versions in [
            json!({"v0": entry}),
            json!([{"spec_version": "1.0"}, {"spec_version": "0.1", "update_interval": "24h"}]),
        ] {
            let manifest = json!({"versions": versions});
            assert_eq!(version(&manifest).unwrap()["update_interval"], "24h");
        }
        assert!(version(&json!({"versions": [{"spec_version": "0.2"}]})).is_none());
    }

    #[test]
    fn the_manifest_of_a_repository_is_where_the_specification_says() {
        let table = [
            (
                "https://github.com/aquasecurity/vexhub",
                "https://raw.githubusercontent.com/aquasecurity/vexhub/HEAD/vex-repository.json",
            ),
            (
                "https://me:p@vex.example/a/",
                "https://me:p@vex.example/a/.well-known/vex-repository.json",
            ),
            (
                "https://vex.example",
                "https://vex.example/.well-known/vex-repository.json",
            ),
        ];
        for (repository, expected) in table {
            let url = manifest_url(&repository.parse().unwrap()).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }
}
