//! Copying files between a container and this process.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use bollard::errors::Error as DockerError;
use bollard::models::ChangeType;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use limits::MIB;
use tokio::io::AsyncWriteExt as _;

use super::Container;
use super::archive::{Access, Archive};

/// Bytes of the largest file that is copied.
const FILE: usize = 1024 * MIB;
/// Bytes that an archive has beyond its only file: headers of a long name, padding and the end.
const TAR: usize = 64 * 1024;

// Write the only entry of the archive `from`, a regular file, to `to`: an archive may also have links, and paths that lead
// elsewhere.
pub(super) fn only_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(std::fs::File::open(from)?);
    let entry = archive.entries()?.next();
    let mut entry = entry.context("the archive is empty")??;
    if !entry.header().entry_type().is_file() {
        bail!("it is not a regular file");
    }
    let mode = entry.header().mode()? & 0o777;
    let mut file = std::fs::File::create(to)?;
    std::io::copy(&mut entry, &mut file)?;
    Ok(file.set_permissions(std::fs::Permissions::from_mode(mode))?)
}

// The content of the only entry of `tar`, which was the regular file `path`.
pub(super) fn content(tar: &[u8], path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entry = archive.entries()?.next();
    let mut entry = entry.context("the archive is empty")??;
    if !entry.header().entry_type().is_file() {
        bail!("`{path}` in the container is not a regular file");
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    if content.len() > limit {
        bail!("`{path}` in the container is larger than {limit} bytes");
    }
    Ok(content)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<DockerError>();
    matches!(
        error,
        Some(DockerError::DockerResponseServerError {
            status_code: 404,
            ..
        })
    )
}

impl Container {
    /// The file or directory `path`, as a tar.
    ///
    /// # Errors
    /// When the path does not exist, or the tar has more than `limit` bytes.
    pub async fn copy_out(&self, path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let mut chunks = self
            .docker
            .api
            .download_from_container(&self.id, Some(options));
        let mut tar = Vec::new();
        while let Some(chunk) = chunks.next().await {
            tar.extend(
                chunk.with_context(|| format!("failed to copy `{path}` out of the container"))?,
            );
            if tar.len() > limit {
                bail!("`{path}` in the container is larger than {limit} bytes");
            }
        }
        Ok(tar)
    }

    /// The content of the regular file `path`; `None` if there is nothing at that path.
    ///
    /// # Errors
    /// When it is something else, or larger than `limit` bytes.
    pub async fn read_file(&self, path: &str, limit: usize) -> anyhow::Result<Option<Vec<u8>>> {
        let tar = match self.copy_out(path, limit.saturating_add(TAR)).await {
            Ok(tar) => tar,
            Err(e) if is_missing(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        content(&tar, path, limit).map(Some)
    }

    /// The paths that were added or changed since it was created; not those in a volume.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn changed_paths(&self) -> anyhow::Result<Vec<String>> {
        let changes = self.docker.api.container_changes(&self.id).await;
        let changes = changes.context("failed to list the changed files of a container")?;
        let changes = changes.unwrap_or_default().into_iter();
        Ok(changes
            .filter(|change| change.kind != ChangeType::_2)
            .map(|change| change.path)
            .collect())
    }

    /// Copy the regular file `path`, of at most a gibibyte, into the directory `into`, under the same name.
    ///
    /// # Errors
    /// When it does not exist, is larger or not a regular file, or can't be written.
    pub async fn copy_file(&self, path: &str, into: &Path) -> anyhow::Result<()> {
        let what = || format!("failed to copy `{path}` out of the container");
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let docker = &self.docker.api;
        let mut chunks = docker.download_from_container(&self.id, Some(options));
        let archive = into.join("copied.tar");
        let mut file = tokio::fs::File::create(&archive).await.with_context(what)?;
        let mut size = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.with_context(what)?;
            size += chunk.len();
            if size > FILE {
                bail!("{}: it is larger than {FILE} bytes", what());
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let name = Path::new(path).file_name().with_context(what)?;
        let (from, to) = (archive.clone(), into.join(name));
        tokio::task::spawn_blocking(move || only_file(&from, &to))
            .await?
            .with_context(what)?;
        tokio::fs::remove_file(&archive).await.with_context(what)
    }

    /// Write the file `name` with `content` to the `directory` of the container.
    ///
    /// # Errors
    /// When the directory does not exist or is read-only.
    pub async fn copy_in(&self, directory: &str, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut archive = Archive::new(Vec::new(), Access::Same, u64::MAX);
        let what = || format!("failed to copy `{name}` into `{directory}` of a container");
        let added = archive.add_text(Path::new(name), content, 0o644);
        added.with_context(what)?;
        let bytes = archive.finish().with_context(what)?;
        self.extract(directory, bytes).await
    }

    /// Write what the tar `archive` has to the `directory` of the container, which gets the directories that it lacks.
    ///
    /// # Errors
    /// When the directory does not exist or is read-only.
    pub(crate) async fn extract(&self, directory: &str, archive: Vec<u8>) -> anyhow::Result<()> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(directory)
            .build();
        let archive = bollard::body_full(archive.into());
        let upload = self
            .docker
            .api
            .upload_to_container(&self.id, Some(options), archive);
        let uploaded = upload.await;
        uploaded.with_context(|| format!("failed to copy files into `{directory}` of a container"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("tar"), directory.path().join("trivy"));
        let copy = |kind: tar::EntryType, name: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(0o4755);
            header.set_size(if kind.is_file() { 2 } else { 0 });
            let mut tar = tar::Builder::new(std::fs::File::create(&from).unwrap());
            if kind.is_file() {
                // A name that leads out cannot be set by the builder.
                header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_cksum();
                tar.append(&header, &b"ok"[..]).unwrap();
            } else {
                tar.append_link(&mut header, name, "/etc/passwd").unwrap();
            }
            tar.finish().unwrap();
            let copied = only_file(&from, &to).map_err(|e| e.to_string());
            copied.map(|()| std::fs::read_to_string(&to).unwrap())
        };
        assert_eq!(copy(tar::EntryType::Regular, "../trivy"), Ok("ok".into()));
        let mode = to.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        let problem = Err("it is not a regular file".to_owned());
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
            assert_eq!(copy(kind, "trivy"), problem);
        }
    }
}
