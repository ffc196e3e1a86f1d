//! One download of the database from one mirror.
//!
//! A database is an OCI artifact with one layer, an archive of `trivy.db` or `trivy-java.db`, and `metadata.json`
//! (`pkg/db` and `pkg/javadb` of Trivy). Trivy's own download does not try another mirror after most errors,
//! and ignores Retry-After.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use actions_toolkit::{Log, PrivateDirectory};
use anyhow::{Context as _, bail, ensure};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use oci::{Auth, ImageRef, Refused, Registry};
use serde_json::Value;
use tar::EntryType;

use super::cached::Cached;
use super::{DatabaseError, DatabaseKind};

/// The file next to the database; nothing else is unpacked.
const METADATA: &str = "metadata.json";

/// The most bytes of the archive; the public ones have less than 100 MiB, and about 1 GiB for Java.
const ARCHIVE_LIMIT: u64 = 4 * 1024 * 1024 * 1024;
/// The most bytes that it unpacks to; the public ones, to about 1 GiB and 2 GiB.
const UNPACKED_LIMIT: u64 = 8 * 1024 * 1024 * 1024;
/// The most bytes of `metadata.json`.
const METADATA_LIMIT: u64 = 1024 * 1024;
/// The most entries of the archive, which has two.
const MAX_ENTRIES: usize = 16;

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    /// The delay that the mirror requests.
    pub(super) retry_after: Option<Duration>,
}

/// Download the database from `mirror` into `cache`; the inner error if the mirror failed.
///
/// The database is unpacked next to the old one, and replaces it when it is complete.
pub(super) async fn download(
    kind: DatabaseKind,
    mirror: &str,
    cache: &Path,
    http: &http_client::Client,
    log: &Log,
) -> Result<Result<Cached, Reason>, DatabaseError> {
    let unwritable = |e: std::io::Error| DatabaseError::Unwritable {
        kind,
        cache: cache.to_owned(),
        reason: e.to_string(),
    };
    let owner = owner(cache);
    std::fs::create_dir_all(cache).map_err(unwritable)?;
    // In the cache, so that it can be moved: a run that is killed leaves it there, and the next download removes it.
    let temporary = PrivateDirectory::create_in(cache, "database").map_err(unwritable)?;
    let new = temporary.path().join(kind.directory());
    if let Err(error) = fetch(kind, mirror, &new, http, log).await {
        let rejected = error.downcast_ref::<Refused>();
        return Ok(Err(Reason {
            retry_after: rejected.and_then(|rejected| rejected.retry_after),
            // The outer contexts name the step; the root has the reason.
            text: format!("{}", error.root_cause()),
        }));
    }
    let Ok(Some(database)) = Cached::read(kind, temporary.path()) else {
        return Ok(Err(Reason {
            text: "its database is incomplete".to_owned(),
            retry_after: None,
        }));
    };
    replace(kind, &new, &cache.join(kind.directory()), owner).map_err(unwritable)?;
    Ok(Ok(database))
}

async fn fetch(
    kind: DatabaseKind,
    mirror: &str,
    directory: &Path,
    http: &http_client::Client,
    log: &Log,
) -> anyhow::Result<()> {
    let image: ImageRef = mirror.parse().context("invalid name")?;
    let host = image
        .registry()
        .context("its name does not contain a registry")?;
    let registry =
        Registry::new(http.clone(), host, Auth::Anonymous, log.masker()).without_retries();
    let name = image.repository();
    let manifest = registry.manifest(name, image.reference()).await?;
    let manifest = manifest.context("no such repository or tag")?;
    let manifest: Value =
        serde_json::from_slice(&manifest.bytes).context("its manifest is not JSON")?;
    let layers = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let layer = layers
        .iter()
        .find(|layer| layer["mediaType"] == kind.layer());
    let digest = layer.and_then(|layer| layer["digest"].as_str());
    let digest = digest.context("its artifact is not a database")?;
    std::fs::create_dir(directory)?;
    let archive = directory.join("db.tar.gz");
    registry
        .fetch_blob(name, digest, ARCHIVE_LIMIT, &archive)
        .await?;
    let directory = directory.to_owned();
    // Unpacking 100 MB would block the runtime.
    tokio::task::spawn_blocking(move || unpack(kind, &archive, &directory)).await?
}

pub(super) fn unpack(kind: DatabaseKind, archive: &Path, directory: &Path) -> anyhow::Result<()> {
    let unpacked = Limited {
        inner: GzDecoder::new(File::open(archive)?),
        room: UNPACKED_LIMIT,
    };
    let mut tar = tar::Archive::new(unpacked);
    // Raw: what a long name or an extended header would have the parser read into memory is skipped as it is.
    let entries = tar.entries().context("its archive is damaged")?.raw(true);
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.context("its archive is damaged")?;
        ensure!(
            count < MAX_ENTRIES,
            "its archive has over {MAX_ENTRIES} entries"
        );
        let path = entry.path()?.into_owned();
        let name = path.to_string_lossy();
        let Some(name) = [kind.file(), METADATA]
            .into_iter()
            .find(|file| *name == **file)
        else {
            continue;
        };
        ensure!(
            entry.header().entry_type() == EntryType::Regular,
            "`{name}` in its archive is not a file"
        );
        if name == METADATA {
            ensure!(
                entry.size() <= METADATA_LIMIT,
                "`{name}` in its archive is over the limit of 1 MiB"
            );
        }
        let file = File::create_new(directory.join(name));
        let mut file = file.with_context(|| format!("failed to create `{name}`"))?;
        std::io::copy(&mut entry, &mut file).context("its archive is damaged")?;
    }
    std::fs::remove_file(archive)?;
    set_download_time(&directory.join(METADATA))
}

/// Fails after `room` bytes.
struct Limited<R> {
    inner: R,
    room: u64,
}

impl<R: std::io::Read> std::io::Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.room = self.room.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::other("its archive is over the limit of 8 GiB when it is unpacked")
        })?;
        Ok(read)
    }
}

// Trivy ignores a database without `DownloadedAt`.
fn set_download_time(path: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    let Ok(mut file) = File::open(path) else {
        bail!("its archive has no `metadata.json`");
    };
    file.read_to_string(&mut text)?;
    let mut metadata: Value =
        serde_json::from_str(&text).context("its `metadata.json` is not JSON")?;
    metadata["DownloadedAt"] = Timestamp::now().to_string().into();
    Ok(std::fs::write(path, metadata.to_string())?)
}

// User and group of the cache, or of the directory that it is created in: the runner may store it as another user.
fn owner(cache: &Path) -> Option<(u32, u32)> {
    let existing = cache.ancestors().find_map(|path| path.metadata().ok())?;
    Some((existing.uid(), existing.gid()))
}

fn replace(
    kind: DatabaseKind,
    new: &Path,
    old: &Path,
    owner: Option<(u32, u32)>,
) -> std::io::Result<()> {
    for path in [new.to_owned(), new.join(METADATA), new.join(kind.file())] {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        if let Some((user, group)) = owner {
            // Only root may change the owner; any other user owns the file already.
            let _ = std::os::unix::fs::chown(&path, Some(user), Some(group));
        }
    }
    match std::fs::remove_dir_all(old) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::rename(new, old)
}
