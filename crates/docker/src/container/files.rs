//! Copying files between a container and this process.

use std::path::Path;

use anyhow::{Context as _, bail};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::Container;

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

    /// Copy the file `path` of any size into the directory `into`, under the same name.
    ///
    /// # Errors
    /// When the file does not exist or can't be written.
    pub async fn copy_file(&self, path: &str, into: &Path) -> anyhow::Result<()> {
        let what = || format!("failed to copy `{path}` out of the container");
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let docker = &self.docker.api;
        let mut chunks = docker.download_from_container(&self.id, Some(options));
        let archive = into.join("copied.tar");
        let mut file = tokio::fs::File::create(&archive).await.with_context(what)?;
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk.with_context(what)?).await?;
        }
        file.flush().await?;
        let (from, to) = (archive.clone(), into.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut tar = tar::Archive::new(std::fs::File::open(from)?);
            tar.unpack(to)
        })
        .await?
        .with_context(what)?;
        tokio::fs::remove_file(&archive).await.with_context(what)
    }

    /// Write the file `name` with `content` to the `directory` of the container.
    ///
    /// # Errors
    /// When the directory does not exist or is read-only.
    pub async fn copy_in(&self, directory: &str, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        let what = || format!("failed to copy `{name}` into `{directory}` of a container");
        archive
            .append_data(&mut header, name, content)
            .with_context(what)?;
        let bytes = archive.into_inner().with_context(what)?;
        let options = UploadToContainerOptionsBuilder::default()
            .path(directory)
            .build();
        self.docker
            .api
            .upload_to_container(&self.id, Some(options), bollard::body_full(bytes.into()))
            .await
            .with_context(what)
    }
}
