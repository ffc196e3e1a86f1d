//! A directory of this machine, copied into the image of a container.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use oci::ImageRef;
use tokio::sync::mpsc;

use super::ContainerSpec;
use super::archive::{Access, Archive, entries, inside};
use crate::{Docker, ImageInfo};

/// Bytes that are sent at once.
const CHUNK: usize = 256 * 1024;

/// A directory, and where it is in a container.
#[derive(Debug, Clone)]
pub struct Tree {
    /// On this machine.
    pub directory: PathBuf,
    /// Absolute, in the container.
    pub target: String,
    /// The name of the files and directories that are left out, such as `.git`.
    pub without: &'static str,
}

impl Tree {
    /// The bytes of its files, and the largest of them, relative to it, with its bytes.
    ///
    /// # Errors
    /// When a directory cannot be read, or once `is_canceled`.
    pub fn size(
        &self,
        is_canceled: impl Fn() -> bool,
    ) -> anyhow::Result<(u64, Option<(PathBuf, u64)>)> {
        let (mut total, mut largest): (u64, Option<(PathBuf, u64)>) = (0, None);
        for entry in entries(&self.directory, Some(self.without)) {
            if is_canceled() {
                bail!("its size is no longer needed");
            }
            let entry = entry?;
            if !entry.file_type().is_file() {
                continue;
            }
            let bytes = entry.metadata()?.len();
            total += bytes;
            if largest.as_ref().is_none_or(|(_, most)| bytes > *most) {
                largest = Some((inside(&entry, &self.directory).to_owned(), bytes));
            }
        }
        Ok((total, largest))
    }

    // As a tar of the root directory.
    fn write(&self, to: impl Write) -> io::Result<()> {
        let mut archive = Archive::new(to, Access::Everyone, u64::MAX);
        let target = Path::new(self.target.trim_start_matches('/'));
        archive.add_directory(&self.directory, target)?;
        archive.add_contents(&self.directory, target, Some(self.without))?;
        archive.finish()?.flush()
    }
}

// A request's body, from a thread that writes.
struct Body(mpsc::Sender<io::Result<Bytes>>);

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(chunk));
        // Docker does not read on; its response says why.
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Docker {
    /// Make the image `name`: that of `spec` with its working directory, and with `tree`. Nothing of it runs.
    ///
    /// # Errors
    /// When the directory cannot be read, or Docker refuses.
    pub async fn add_tree(
        &self,
        spec: &ContainerSpec,
        tree: &Tree,
        name: &ImageRef,
    ) -> anyhow::Result<ImageInfo> {
        let container = self.create(spec).await?;
        let copied = self.copy(&container.id, tree.clone()).await;
        let made = match copied {
            Ok(()) => self.commit(&container.id, name).await,
            Err(e) => Err(e),
        };
        container.remove().await;
        made?;
        let info = self.inspect(name).await?;
        info.with_context(|| format!("Docker does not have `{name}`, which it made"))
    }

    async fn copy(&self, container: &str, tree: Tree) -> anyhow::Result<()> {
        let what = format!(
            "failed to copy `{}` into a container",
            tree.directory.display()
        );
        let (send, receive) = mpsc::channel(2);
        let failed = send.clone();
        let written = tokio::task::spawn_blocking(move || {
            let written = tree.write(io::BufWriter::with_capacity(CHUNK, Body(send)));
            if let Err(e) = &written {
                // The archive breaks off; that nothing reads it is known.
                let _ = failed.blocking_send(Err(io::Error::new(e.kind(), e.to_string())));
            }
            written
        });
        let body = futures_util::stream::unfold(receive, |mut receive| async move {
            Some((receive.recv().await?, receive))
        });
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = bollard::body_try_stream(body);
        let uploaded = self
            .api
            .upload_to_container(container, Some(options), body)
            .await;
        match (written.await?, uploaded) {
            (Err(e), _) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context(what),
            (_, uploaded) => uploaded.context(what),
        }
    }

    async fn commit(&self, container: &str, name: &ImageRef) -> anyhow::Result<()> {
        let options = CommitContainerOptionsBuilder::default()
            .container(container)
            .repo(&name.without_version())
            .tag(name.tag().unwrap_or("latest"))
            .pause(false)
            .build();
        let commit = |docker: Self| async move {
            // What this does not have is as in the container.
            let config = ContainerConfig::default();
            docker.api.commit_container(options, config).await
        };
        let committed = self.carry_out(commit).await;
        let committed = committed.context("failed to make an image of a container")?;
        committed.with_context(|| format!("failed to make the image `{name}`"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_tree_is_copied_without_what_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["a/deep/run.sh", ".git/config", "a/.git", "b.txt"] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "12345").unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o750);
        std::fs::set_permissions(root.join("a/deep/run.sh"), mode).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let tree = Tree {
            directory: root.to_owned(),
            target: "/w/s".to_owned(),
            without: ".git",
        };
        let mut tar = Vec::new();
        tree.write(&mut tar).unwrap();
        let mut listed = Vec::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            assert!(header.mtime().unwrap() > 1_000_000_000, "{path}");
            listed.push(format!("{path} {:o}", header.mode().unwrap()));
        }
        assert_eq!(
            listed,
            [
                "w/s 777",
                "w/s/a 777",
                "w/s/a/deep 777",
                "w/s/a/deep/run.sh 777",
                "w/s/b.txt 666",
                "w/s/link 777"
            ]
        );
        let (size, largest) = tree.size(|| false).unwrap();
        assert_eq!((size, largest.map(|(_, bytes)| bytes)), (10, Some(5)));
        assert!(tree.size(|| true).is_err());
    }
}
