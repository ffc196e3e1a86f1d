//! A file that a build exports, as BuildKit sends it (github.com/moby/buildkit, `session/filesync`, `FileSend`).

use std::path::{Path, PathBuf};
use std::pin::Pin;

use bollard_buildkit_proto::moby::filesync::v1::BytesMessage;
use bollard_buildkit_proto::moby::filesync::v1::file_send_server::FileSend;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// Writes what a build exports to a file, if there is one.
#[derive(Clone)]
pub(super) struct Export(Option<PathBuf>);

impl Export {
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self(path.map(ToOwned::to_owned))
    }
}

async fn write(path: &Path, mut messages: Streaming<BytesMessage>) -> Result<(), Status> {
    let failed = |e: std::io::Error| Status::internal(format!("`{}`: {e}", path.display()));
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    while let Some(message) = messages.message().await? {
        file.write_all(&message.data).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

#[async_trait]
impl FileSend for Export {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let Some(path) = self.0.clone() else {
            return Err(Status::not_found("this build exports no file"));
        };
        // The call ends when everything is written: its end is BuildKit's.
        let written = async move { write(&path, request.into_inner()).await.err() };
        let end = stream::once(written).filter_map(|error| async { error.map(Err) });
        Ok(Response::new(Box::pin(end)))
    }
}
