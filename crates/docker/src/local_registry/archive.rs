//! The archive that Docker sends of its images: unpacked while it comes in, so that it is never kept as a whole.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::Shared;

/// Chunks of Docker's that may wait for the disk.
const WAITING: usize = 16;
/// How Docker begins what it writes into an archive that it can't go on with.
const FAILURE: &[u8] = br#"{"errorDetail""#;

/// Unpack the archive that comes in `chunks` into a new folder of `shared`, and let `read` see what came.
///
/// The folder stays only where both went well. Whoever drops this future ends the unpacking as well: an archive whose
/// end was not seen is never read.
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
    // The folder of all images stays for as long as something is written there.
    let shared = Arc::clone(shared);
    let unpacked = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir_in(shared.folder.path())
            .context("while making a folder for an image")?;
        unpack(Pipe::of(waiting), folder.path()).map_err(told)?;
        let made = read(folder.path())?;
        let _ = folder.keep();
        anyhow::Ok(made)
    });
    let passed = pass_on(chunks, pipe).await;
    let unpacked = unpacked.await?;
    // Where the stream broke off, that is why it could not be unpacked.
    let last = passed.context("while reading Docker's archive")?;
    unpacked.map_err(|error| words(&last).map_or(error, |said| anyhow!(said)))
}

// All that comes, and then that this was all; the last chunk.
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
    // Nobody listens any more where unpacking failed, which says why itself.
    let _ = pipe.send(None).await;
    Ok(last)
}

// Files and links only, and nothing outside of `into`: `unpack_in` refuses paths that lead out.
fn unpack(from: impl Read, into: &Path) -> io::Result<()> {
    let mut tar = tar::Archive::new(from);
    tar.set_preserve_mtime(false);
    for entry in tar.entries()? {
        entry?.unpack_in(into)?;
    }
    // Behind its end there is padding alone, but a stream may break off there too.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map(drop)
}

// A full disk is no fault of the archive's, and where it was met does not matter.
fn told(error: io::Error) -> anyhow::Error {
    let is_full = error.kind() == io::ErrorKind::StorageFull;
    let error = anyhow::Error::new(error);
    if is_full {
        anyhow!("{}", error.root_cause())
    } else {
        error.context("Docker's archive is damaged")
    }
}

// Docker that fails when it has begun to answer has but the archive itself to say so
// (github.com/moby/moby, `getImagesGet`): its words are then the end of what it sent.
fn words(last: &[u8]) -> Option<String> {
    let start = last
        .windows(FAILURE.len())
        .rposition(|window| window == FAILURE)?;
    let said: serde_json::Value = serde_json::from_slice(&last[start..]).ok()?;
    said["errorDetail"]["message"]
        .as_str()
        .map(ToOwned::to_owned)
}

/// What is sent, to be read: all of it up to `None`. Where it ends without that, it was broken off.
struct Pipe {
    chunks: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    is_whole: bool,
}

impl Pipe {
    fn of(chunks: mpsc::Receiver<Option<Bytes>>) -> Self {
        Self {
            chunks,
            rest: Bytes::new(),
            is_whole: false,
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_whole {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.rest = chunk,
                Some(None) => self.is_whole = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        (&mut self.rest).reader().read(into)
    }
}

#[cfg(test)]
mod tests;
