//! Loading an image into Docker (`POST /images/load`).

use std::path::PathBuf;

use anyhow::Context as _;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use oci::ImageRef;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{Docker, LocalRegistry, StoredImage};

const CHUNK: usize = 256 * 1024;
const BLOCK: usize = 512;

impl Docker {
    /// Load `image` of `registry` into Docker under `name`.
    ///
    /// Docker skips the layers that it has, so the first `shared` layers are left out at first; if Docker rejects that, all
    /// layers are sent.
    ///
    /// # Errors
    /// With Docker's own message when it rejects both.
    pub async fn load(
        &self,
        registry: &LocalRegistry,
        image: &StoredImage,
        name: &ImageRef,
        shared: usize,
    ) -> anyhow::Result<()> {
        if shared > 0 && self.import(registry, image, name, shared).await.is_ok() {
            return Ok(());
        }
        let loaded = self.import(registry, image, name, 0).await;
        loaded.with_context(|| format!("failed to load `{name}` into Docker"))
    }

    // All but the first `skip` layers.
    async fn import(
        &self,
        registry: &LocalRegistry,
        image: &StoredImage,
        name: &ImageRef,
        skip: usize,
    ) -> anyhow::Result<()> {
        let config = format!("{}.json", image.manifest.config.digest.replace(':', "-"));
        let layers: Vec<_> = image
            .manifest
            .layers
            .iter()
            .map(|layer| format!("{}.tar", layer.digest.replace(':', "-")))
            .collect();
        let list = json!([{"Config": config, "RepoTags": [name.to_string()], "Layers": layers}]);
        let mut files = Vec::new();
        for (layer, file) in image.manifest.layers.iter().zip(&layers).skip(skip) {
            files.push((file.clone(), registry.fetch(&layer.digest).await?));
        }
        let small = [
            (config, image.config.clone()),
            (
                "manifest.json".to_owned(),
                Bytes::from(serde_json::to_vec(&list)?),
            ),
        ];
        // A caller that is canceled drops its end: the archive breaks off, and Docker's response is awaited.
        let (_canceled, canceled) = tokio::sync::oneshot::channel::<()>();
        let import = |docker: Self| async move { docker.send(small, files, canceled).await };
        self.carry_out(import).await?
    }

    async fn send(
        &self,
        small: [(String, Bytes); 2],
        files: Vec<(String, PathBuf)>,
        canceled: tokio::sync::oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        let (send, receive) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(2);
        let stop = send.clone();
        let write = async move {
            for (file, bytes) in small {
                let size = bytes.len() as u64;
                send.send(Ok(header(&file, size)?)).await?;
                send.send(Ok(bytes)).await?;
                send.send(Ok(padding(size))).await?;
            }
            for (file, path) in files {
                let mut from = tokio::fs::File::open(path).await?;
                let size = from.metadata().await?.len();
                send.send(Ok(header(&file, size)?)).await?;
                loop {
                    let mut chunk = vec![0; CHUNK];
                    let read = from.read(&mut chunk).await?;
                    if read == 0 {
                        break;
                    }
                    chunk.truncate(read);
                    send.send(Ok(chunk.into())).await?;
                }
                send.send(Ok(padding(size))).await?;
            }
            send.send(Ok(vec![0; 2 * BLOCK].into())).await?;
            anyhow::Ok(())
        };
        let stream = futures_util::stream::unfold(receive, |mut receive| async move {
            Some((receive.recv().await?, receive))
        });
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut responses = Box::pin(self.api.import_image_stream(options, stream, None));
        let read = async {
            while let Some(response) = responses.next().await {
                let response = response?;
                if let Some(message) = response.error_detail.and_then(|e| e.message) {
                    anyhow::bail!(message);
                }
            }
            Ok(())
        };
        let write = async move {
            tokio::select! {
                written = write => written,
                _ = canceled => {
                    let error = std::io::Error::other("canceled");
                    Ok(stop.send(Err(error)).await?)
                }
            }
        };
        let (written, read) = tokio::join!(write, read);
        // When Docker breaks off, its message is the cause.
        read.and(written)
    }
}

fn header(name: &str, size: u64) -> std::io::Result<Bytes> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    Ok(Bytes::copy_from_slice(header.as_bytes()))
}

fn padding(size: u64) -> Bytes {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    vec![0; (BLOCK - over) % BLOCK].into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn files_fill_blocks() {
        let table = [(0, 0), (1, 511), (512, 0), (513, 511)];
        for (size, padding) in table {
            assert_eq!(super::padding(size).len(), padding);
        }
    }
}
