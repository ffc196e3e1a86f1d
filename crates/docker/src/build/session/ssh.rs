//! SSH agents for `RUN --mount=type=ssh` (github.com/moby/buildkit, `session/sshforward`): the build reaches an agent, and no key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse,
};
use bytes::BytesMut;
use futures_util::{Stream, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// The id of a mount that names none.
const DEFAULT: &str = "default";
/// The header that names the agent (`sshforward.KeySSHID`).
const ID: &str = "buildkit.ssh.id";
/// Bytes of one message.
const CHUNK: usize = 32 * 1024;

/// The sockets of SSH agents by id, for `RUN --mount=type=ssh,id=…`.
#[derive(Debug, Clone, Default)]
pub struct SshAgents(Arc<BTreeMap<String, PathBuf>>);

impl FromIterator<(String, PathBuf)> for SshAgents {
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

impl SshAgents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { DEFAULT } else { id };
        let socket = self.0.get(id);
        // A mount without `required` continues without the agent.
        socket.ok_or_else(|| Status::not_found(format!("there is no SSH agent `{id}` (`ssh`)")))
    }
}

#[async_trait]
impl Ssh for SshAgents {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.socket(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(ID);
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let socket = self.socket(id)?;
        let agent = UnixStream::connect(socket).await;
        let agent = agent.map_err(|e| Status::unavailable(format!("SSH agent: {e}")))?;
        let (read, mut write) = agent.into_split();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            // Either end may close the connection.
            while let Ok(Some(message)) = incoming.message().await {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
        });
        let responses = stream::try_unfold(read, |mut read| async move {
            let mut data = BytesMut::with_capacity(CHUNK);
            let count = read.read_buf(&mut data).await;
            let count = count.map_err(|e| Status::unavailable(format!("SSH agent: {e}")))?;
            let message = BytesMessage {
                data: data.to_vec(),
            };
            Ok((count > 0).then_some((message, read)))
        });
        Ok(Response::new(Box::pin(responses)))
    }
}
