//! The archive of images that Docker sends: unpacked while it is received, so that it is never stored as a whole.
//!
//! Nothing is decompressed: the layers take as much space as they do in Docker, so the disk is the limit of their size. What
//! is read into memory is limited, by [`JSON`].

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::Shared;

/// Chunks that may wait for the disk.
const WAITING: usize = 16;
/// Bytes of the largest list or configuration that is read; registries accept manifests of 4 MiB.
pub(super) const JSON: usize = 8 * limits::MIB;
/// Entries of an archive: a few for each layer, of which an image has at most 127.
const ENTRIES: usize = 100_000;
/// The start of the error that Docker writes into an archive which it can't continue.
const FAILURE: &[u8] = br#"{"errorDetail""#;

/// Unpack the archive in `chunks` into a new directory of `shared`, and pass that to `read`.
///
/// The directory stays only if both succeed. Dropping this future stops the unpacking as well: an incomplete archive
/// is never read.
///
/// # Errors
/// With the cause, which is the stream's where that breaks off.
pub(super) async fn receive<T, E>(
    chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
    shared: &Arc<Shared>,
    read: impl FnOnce(&Path) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T>
where
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let (pipe, waiting) = mpsc::channel(WAITING);
    // The directory of all images stays while something is written there.
    let shared = Arc::clone(shared);
    let unpacked = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir_in(shared.directory.path())
            .context("failed to create a directory for an image")?;
        unpack(Pipe::new(waiting), directory.path()).map_err(unpack_error)?;
        let images = read(directory.path())?;
        let _ = directory.keep();
        anyhow::Ok(images)
    });
    let passed = pass_on(chunks, pipe).await;
    let unpacked = unpacked.await?;
    // If the stream broke off, that is why it could not be unpacked.
    let last = passed.context("failed to read Docker's archive")?;
    unpacked.map_err(|error| docker_error(&last).map_or(error, |message| anyhow!(message)))
}

// Sends all chunks and then the end; returns the last chunk.
async fn pass_on<E>(
    mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
    pipe: mpsc::Sender<Option<Bytes>>,
) -> Result<Bytes, E> {
    let mut last = Bytes::new();
    while let Some(chunk) = chunks.next().await {
        last = chunk?;
        if pipe.send(Some(last.clone())).await.is_err() {
            break;
        }
    }
    // The receiver is gone if unpacking failed, which reports its own error.
    let _ = pipe.send(None).await;
    Ok(last)
}

// Files, directories and links only, and nothing outside of `into`: `unpack_in` refuses paths that lead out.
pub(super) fn unpack(from: impl Read, into: &Path) -> io::Result<()> {
    let mut tar = tar::Archive::new(from);
    tar.set_preserve_mtime(false);
    for (index, entry) in tar.entries()?.enumerate() {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let is_known = kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link();
        if !is_known || index == ENTRIES {
            return Err(io::Error::other("it is not an archive of images"));
        }
        entry.unpack_in(into)?;
    }
    // Only padding follows its end, but a stream may break off there too.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map(drop)
}

// A full disk is not a fault of the archive, and the file does not matter.
fn unpack_error(error: io::Error) -> anyhow::Error {
    let is_full = error.kind() == io::ErrorKind::StorageFull;
    let error = anyhow::Error::new(error);
    if is_full {
        anyhow!("{}", error.root_cause())
    } else {
        error.context("Docker's archive is damaged")
    }
}

// When Docker fails after the response has started it can report that only in the archive
// (github.com/moby/moby, `getImagesGet`): its message is then at the end.
fn docker_error(last: &[u8]) -> Option<String> {
    let start = last
        .windows(FAILURE.len())
        .rposition(|window| window == FAILURE)?;
    let error: serde_json::Value = serde_json::from_slice(&last[start..]).ok()?;
    error["errorDetail"]["message"]
        .as_str()
        .map(ToOwned::to_owned)
}

/// A reader of the chunks up to `None`. If they end without `None`, the stream broke off.
struct Pipe {
    chunks: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    is_complete: bool,
}

impl Pipe {
    fn new(chunks: mpsc::Receiver<Option<Bytes>>) -> Self {
        Self {
            chunks,
            rest: Bytes::new(),
            is_complete: false,
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_complete {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.rest = chunk,
                Some(None) => self.is_complete = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        (&mut self.rest).reader().read(into)
    }
}

#[cfg(test)]
mod tests;
