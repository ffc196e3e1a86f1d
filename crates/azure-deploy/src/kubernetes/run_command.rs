//! The API server of a cluster that the runner cannot reach: requests go through Resource Manager, which has a pod of the
//! cluster send them. Requests and responses are those of a direct connection.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use azure::{Entra, Ran, ResourceManager, Scope};
use base64::Engine as _;
use http::{Request, Response};
use kube::client::Body;
use tokio::sync::{mpsc, oneshot};
use tower::{BoxError, Service};

const SCRIPT: &[u8] = include_bytes!("run_command.sh");
/// The script writes this before a response.
const MARK: &str = "seaworthy-response ";
/// A command takes seconds, so the requests within this time go into one.
const BATCH_WINDOW: Duration = Duration::from_millis(50);
/// Larger than any response: the data is decompressed, and comes from elsewhere.
const MAX_BYTES: u64 = 64 << 20;

/// The cluster whose pods send the requests, and the identity that runs them.
pub(crate) struct RunCommand {
    pub(crate) manager: ResourceManager,
    pub(crate) group: String,
    pub(crate) name: String,
    /// The source of the token for the API server, if the cluster signs in with Entra.
    pub(crate) entra: Option<Entra>,
}

struct Pending {
    request: Vec<u8>,
    response: oneshot::Sender<anyhow::Result<Response<Body>>>,
}

impl RunCommand {
    /// A connection whose requests are sent in the cluster.
    pub(crate) fn connection(
        self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
    {
        let (sender, pending) = mpsc::unbounded_channel();
        tokio::spawn(self.batch(pending));
        tower::service_fn(move |request: Request<Body>| {
            let sender = sender.clone();
            async move {
                let request = encode(request).await?;
                let (response, received) = oneshot::channel();
                let closed = "the connection through Azure Resource Manager is closed";
                sender
                    .send(Pending { request, response })
                    .map_err(|_| anyhow!(closed))?;
                Ok::<_, BoxError>(received.await.context(closed)??)
            }
        })
    }

    // Commands run in parallel: the requests of a cancelled run must not wait for those that it cancels.
    async fn batch(self, mut pending: mpsc::UnboundedReceiver<Pending>) {
        let this = Arc::new(self);
        while let Some(first) = pending.recv().await {
            let mut batch = vec![first];
            while let Ok(Some(next)) = tokio::time::timeout(BATCH_WINDOW, pending.recv()).await {
                batch.push(next);
            }
            let this = this.clone();
            tokio::spawn(async move { this.send(batch).await });
        }
    }

    async fn send(&self, batch: Vec<Pending>) {
        let mut files = vec![("run_command.sh".to_owned(), SCRIPT.to_vec())];
        let numbered = batch.iter().enumerate();
        files
            .extend(numbered.map(|(n, pending)| (format!("{n:04}.http"), pending.request.clone())));
        let ran = self.run(&files).await.and_then(logs);
        for (n, pending) in batch.into_iter().enumerate() {
            let response = match &ran {
                Ok(logs) => response(logs, n),
                Err(e) => Err(anyhow!("{e:#}")),
            };
            // The request may have timed out.
            let _ = pending.response.send(response);
        }
    }

    async fn run(&self, files: &[(String, Vec<u8>)]) -> anyhow::Result<Ran> {
        let token = match &self.entra {
            Some(entra) => Some(entra.token(Scope::Cluster).await?),
            None => None,
        };
        let (group, name) = (&self.group, &self.name);
        self.manager
            .run_command(group, name, "bash run_command.sh", files, token.as_ref())
            .await
    }
}

// HTTP/1.0, so that the response comes in one piece and ends with the connection.
async fn encode(request: Request<Body>) -> anyhow::Result<Vec<u8>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect_bytes()
        .await
        .context("failed to write a request")?;
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut bytes =
        format!("{} {target} HTTP/1.0\r\nHost: localhost\r\n", head.method).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn logs(ran: Ran) -> anyhow::Result<String> {
    if ran.exit_code == 0 {
        return Ok(ran.logs);
    }
    let last = ran
        .logs
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with(MARK));
    bail!(
        "the command that queries the API server exited with code {}: {}",
        ran.exit_code,
        last.unwrap_or("no output")
    )
}

// The response to the request `n`.
fn response(logs: &str, n: usize) -> anyhow::Result<Response<Body>> {
    let mark = format!("{MARK}{n:04} ");
    let packed = logs.lines().find_map(|line| line.strip_prefix(&mark));
    let packed =
        packed.context("the response is not in the command's log, of which Azure keeps 512 kB")?;
    let cut = "the response in the command's log is cut off; Azure keeps 512 kB of it";
    let packed = base64::engine::general_purpose::STANDARD
        .decode(packed.trim())
        .context(cut)?;
    let mut bytes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(&*packed)
        .take(MAX_BYTES)
        .read_to_end(&mut bytes);
    unpacked.context(cut)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> anyhow::Result<Response<Body>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head
        .parse(bytes)
        .context("failed to read the API server's response")?;
    let httparse::Status::Complete(length) = parsed else {
        bail!("the head of the API server's response is incomplete");
    };
    let mut response = Response::builder().status(head.code.unwrap_or_default());
    for header in head.headers {
        response = response.header(header.name, header.value);
    }
    let body = bytes.get(length..).unwrap_or_default();
    response
        .body(Body::from(body.to_vec()))
        .context("failed to read the API server's response")
}

/// The log of a command, and what it packs.
#[cfg(fuzzing)]
pub(crate) fn fuzz(log: &str) {
    let _ = response(log, 0);
    let _ = parse(log.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(n: usize, response: &str) -> String {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(response.as_bytes()).unwrap();
        let packed = base64::engine::general_purpose::STANDARD.encode(packed.finish().unwrap());
        format!("{MARK}{n:04} {packed}\n")
    }

    #[tokio::test]
    async fn responses_are_matched_by_number() {
        let head = "Content-Type: application/json\r\nWarning: 299 - \"old\"\r\n\r\n";
        let logs = line(0, &format!("HTTP/1.0 200 OK\r\n{head}{{}}"))
            + &line(1, &format!("HTTP/1.0 404 Not Found\r\n{head}gone"));
        assert_eq!(response(&logs, 0).unwrap().status(), 200);
        let second = response(&logs, 1).unwrap();
        assert_eq!(
            (second.status().as_u16(), &second.headers()["warning"]),
            (404, &"299 - \"old\"".parse().unwrap())
        );
        assert_eq!(second.into_body().collect_bytes().await.unwrap(), "gone");
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let logs = line(0, &format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(5_000)));
        let table = [
            ("", "is not in the command's log"),
            (&logs[..40], "is cut off"),
            (&logs[..logs.len() - 9], "is cut off"),
        ];
        for (logs, message) in table {
            let error = response(logs, 0).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_failed_command_is_reported_with_its_last_line() {
        let ran = |logs: &str| Ran {
            exit_code: 127,
            logs: logs.into(),
        };
        assert_eq!(
            logs(ran("sh: bash: not found\n")).unwrap_err().to_string(),
            "the command that queries the API server exited with code 127: sh: bash: not found"
        );
    }

    #[tokio::test]
    async fn a_request_is_encoded_as_kubectl_proxy_reads_it() {
        let request = Request::patch("/api/v1/namespaces/web?fieldManager=seaworthy")
            .header("content-type", "application/apply-patch+yaml");
        let encoded = encode(request.body(Body::from(b"{}".to_vec())).unwrap())
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(encoded).unwrap(),
            "PATCH /api/v1/namespaces/web?fieldManager=seaworthy HTTP/1.0\r\nHost: localhost\r\ncontent-type: application/apply-patch+yaml\r\nContent-Length: 2\r\n\r\n{}"
        );
    }
}
