//! Files of a container.

use std::path::Path;

use anyhow::{Context as _, bail};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::Container;

impl Container {
    /// The file or folder `path`, as a tar.
    ///
    /// # Errors
    /// When there is no such path, or more than `limit` bytes of it.
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
                chunk.with_context(|| format!("while copying `{path}` out of the container"))?,
            );
            if tar.len() > limit {
                bail!("`{path}` in the container is larger than {limit} bytes");
            }
        }
        Ok(tar)
    }

    /// Copy the file `path`, however large, into the folder `into`; its name stays.
    ///
    /// # Errors
    /// When there is no such file, or it can't be written.
    pub async fn copy_file(&self, path: &str, into: &Path) -> anyhow::Result<()> {
        let what = || format!("while copying `{path}` out of the container");
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

    /// Put the file `name` with `content` into the folder `folder` of it.
    ///
    /// # Errors
    /// When there is no such folder, or it is read-only.
    pub async fn copy_in(&self, folder: &str, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        let what = || format!("while copying `{name}` into `{folder}` of a container");
        archive
            .append_data(&mut header, name, content)
            .with_context(what)?;
        let bytes = archive.into_inner().with_context(what)?;
        let options = UploadToContainerOptionsBuilder::default()
            .path(folder)
            .build();
        self.docker
            .api
            .upload_to_container(&self.id, Some(options), bollard::body_full(bytes.into()))
            .await
            .with_context(what)
    }
}
