//! One download.
//!
//! The database is an OCI artifact with one layer, an archive of `trivy.db` and `metadata.json`
//! (`pkg/db` of Trivy). Trivy's own download gives up at most errors and says nothing of Retry-After.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use oci::{Auth, Digest, ImageRef, Refused, Registry};
use serde_json::Value;

use super::DatabaseError;
use super::cached::Cached;

/// The media type of the layer (`pkg/db` of Trivy).
const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
/// The files of the layer; nothing else is unpacked.
const FILES: [&str; 2] = ["trivy.db", "metadata.json"];

/// Why a mirror did not give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    /// When the mirror asks to come again.
    pub(super) retry_after: Option<Duration>,
}

/// Fetch the database from `mirror` into `cache`; the reason if the mirror does not give it.
///
/// It is made in a folder of its own beside the old one, and takes its place when it is complete.
pub(super) async fn from(
    mirror: &str,
    cache: &Path,
    http: &reqwest::Client,
) -> Result<Result<Cached, Reason>, DatabaseError> {
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
    let new = beside.path().join("db");
    if let Err(error) = fetch(mirror, &new, http).await {
        let refused = error.downcast_ref::<Refused>();
        return Ok(Err(Reason {
            retry_after: refused.and_then(|refused| refused.retry_after),
            // The layers say which part of it was under way; the last one says why.
            text: format!("{}", error.root_cause()),
        }));
    }
    let Ok(Some(found)) = Cached::read(beside.path()) else {
        return Ok(Err(Reason {
            text: "what it gave is no whole database".to_owned(),
            retry_after: None,
        }));
    };
    replace(&new, &cache.join("db"), owner).map_err(unwritable)?;
    Ok(Ok(found))
}

async fn fetch(mirror: &str, folder: &Path, http: &reqwest::Client) -> anyhow::Result<()> {
    let image: ImageRef = mirror.parse().context("its name is malformed")?;
    let host = image.registry().context("its name has no registry in it")?;
    let registry = Registry::new(http.clone(), host, Auth::Anonymous).without_retries();
    let name = image.repository();
    let manifest = registry.manifest(name, image.reference()).await?;
    let manifest = manifest.context("it has no such repository or tag")?;
    let manifest: Value =
        serde_json::from_slice(&manifest.bytes).context("its manifest is no JSON")?;
    let layers = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let layer = layers.iter().find(|layer| layer["mediaType"] == LAYER);
    let digest = layer.and_then(|layer| layer["digest"].as_str());
    let digest = digest.context("it holds something else than a database")?;
    std::fs::create_dir(folder)?;
    let archive = folder.join("db.tar.gz");
    registry.fetch_blob(name, digest, &archive).await?;
    let (digest, folder) = (digest.to_owned(), folder.to_owned());
    // A hundred megabytes are hashed and unpacked: not among the work of others.
    tokio::task::spawn_blocking(move || unpack(&archive, &digest, &folder)).await?
}

fn unpack(archive: &Path, digest: &str, folder: &Path) -> anyhow::Result<()> {
    let is = Digest::from_reader(File::open(archive)?)?;
    ensure!(digest == is.as_str(), "what it sent is not {digest}");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in tar.entries().context("its archive can't be read")? {
        let mut entry = entry.context("its archive can't be read")?;
        let path = entry.path()?.into_owned();
        let name = path.to_string_lossy();
        let Some(name) = FILES.into_iter().find(|file| *name == **file) else {
            continue;
        };
        let mut file = File::create(folder.join(name))?;
        std::io::copy(&mut entry, &mut file).context("its archive can't be read")?;
    }
    std::fs::remove_file(archive)?;
    downloaded(&folder.join("metadata.json"))
}

// Trivy takes a database whose description does not say when it was downloaded for none.
fn downloaded(path: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    let Ok(mut file) = File::open(path) else {
        bail!("its archive has no `metadata.json`");
    };
    file.read_to_string(&mut text)?;
    let mut about: Value = serde_json::from_str(&text).context("its `metadata.json` is no JSON")?;
    about["DownloadedAt"] = Timestamp::now().to_string().into();
    Ok(std::fs::write(path, about.to_string())?)
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
