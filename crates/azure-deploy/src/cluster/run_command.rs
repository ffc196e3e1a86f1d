//! The API server of a cluster that the runner can't reach: what is asked goes through Resource Manager, which has a pod of
//! the cluster ask it. The questions and the answers are those of a direct connection, so all else stays as it is.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use azure::{Directory, Ran, ResourceManager, Scope};
use base64::Engine as _;
use http::{Request, Response};
use kube::client::Body;
use tokio::sync::{mpsc, oneshot};
use tower::{BoxError, Service};

const SCRIPT: &[u8] = include_bytes!("ask.sh");
/// What the script puts before an answer.
const MARK: &str = "seaworthy-answer ";
/// A command takes seconds, so what is asked within this time goes into one.
const GATHER: Duration = Duration::from_millis(50);
/// More than an answer has: what is unpacked comes from elsewhere.
const LARGEST: u64 = 64 << 20;

/// The cluster whose pods ask, and who asks.
pub(crate) struct RunCommand {
    pub(crate) manager: ResourceManager,
    pub(crate) group: String,
    pub(crate) name: String,
    /// Where the token for the API server is from, if the cluster signs in with Entra.
    pub(crate) directory: Option<Directory>,
}

struct Question {
    request: Vec<u8>,
    answer: oneshot::Sender<anyhow::Result<Response<Body>>>,
}

impl RunCommand {
    /// A connection whose requests are asked in the cluster.
    pub(crate) fn connection(
        self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
    {
        let (questions, asked) = mpsc::unbounded_channel();
        tokio::spawn(self.carry(asked));
        tower::service_fn(move |request: Request<Body>| {
            let questions = questions.clone();
            async move {
                let request = written(request).await?;
                let (answer, answered) = oneshot::channel();
                let gone = "the connection through Azure Resource Manager has ended";
                questions
                    .send(Question { request, answer })
                    .map_err(|_| anyhow!(gone))?;
                Ok::<_, BoxError>(answered.await.context(gone)??)
            }
        })
    }

    // One command does not wait for another: what a stop asks for must not stand behind what it stops.
    async fn carry(self, mut asked: mpsc::UnboundedReceiver<Question>) {
        let place = Arc::new(self);
        while let Some(first) = asked.recv().await {
            let mut batch = vec![first];
            while let Ok(Some(next)) = tokio::time::timeout(GATHER, asked.recv()).await {
                batch.push(next);
            }
            let place = place.clone();
            tokio::spawn(async move { place.ask(batch).await });
        }
    }

    async fn ask(&self, batch: Vec<Question>) {
        let mut files = vec![("ask.sh".to_owned(), SCRIPT.to_vec())];
        let numbered = batch.iter().enumerate();
        files.extend(
            numbered.map(|(n, question)| (format!("{n:04}.http"), question.request.clone())),
        );
        let ran = self.run(&files).await.and_then(ended_well);
        for (n, question) in batch.into_iter().enumerate() {
            let answer = match &ran {
                Ok(logs) => answer(logs, n),
                Err(e) => Err(anyhow!("{e:#}")),
            };
            // Whoever asked may have given up.
            let _ = question.answer.send(answer);
        }
    }

    async fn run(&self, files: &[(String, Vec<u8>)]) -> anyhow::Result<Ran> {
        let token = match &self.directory {
            Some(directory) => Some(directory.token(Scope::Cluster).await?),
            None => None,
        };
        let (group, name) = (&self.group, &self.name);
        self.manager
            .run_command(group, name, "bash ask.sh", files, token.as_ref())
            .await
    }
}

// HTTP/1.0, so that the answer comes in one piece and ends with the connection.
async fn written(request: Request<Body>) -> anyhow::Result<Vec<u8>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect_bytes()
        .await
        .context("while writing a question")?;
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

fn ended_well(ran: Ran) -> anyhow::Result<String> {
    if ran.exit_code == 0 {
        return Ok(ran.logs);
    }
    let said = ran
        .logs
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with(MARK));
    bail!(
        "the command that asks the API server ended with exit code {}: {}",
        ran.exit_code,
        said.unwrap_or("it said nothing")
    )
}

// The answer to the question `n`.
fn answer(logs: &str, n: usize) -> anyhow::Result<Response<Body>> {
    let mark = format!("{MARK}{n:04} ");
    let packed = logs.lines().find_map(|line| line.strip_prefix(&mark));
    let packed =
        packed.context("the answer is not in the command's log, of which Azure keeps 512 kB")?;
    let cut = "the answer in the command's log is cut off; Azure keeps 512 kB of it";
    let packed = base64::engine::general_purpose::STANDARD
        .decode(packed.trim())
        .context(cut)?;
    let mut bytes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(&*packed)
        .take(LARGEST)
        .read_to_end(&mut bytes);
    unpacked.context(cut)?;
    parsed(&bytes)
}

fn parsed(bytes: &[u8]) -> anyhow::Result<Response<Body>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head
        .parse(bytes)
        .context("while reading the API server's answer")?;
    let httparse::Status::Complete(length) = parsed else {
        bail!("the API server's answer has no end to its head");
    };
    let mut response = Response::builder().status(head.code.unwrap_or_default());
    for header in head.headers {
        response = response.header(header.name, header.value);
    }
    let body = bytes.get(length..).unwrap_or_default();
    response
        .body(Body::from(body.to_vec()))
        .context("while reading the API server's answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(n: usize, answer: &str) -> String {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(answer.as_bytes()).unwrap();
        let packed = base64::engine::general_purpose::STANDARD.encode(packed.finish().unwrap());
        format!("{MARK}{n:04} {packed}\n")
    }

    #[tokio::test]
    async fn answers_are_found_by_their_number() {
        let head = "Content-Type: application/json\r\nWarning: 299 - \"old\"\r\n\r\n";
        let logs = line(0, &format!("HTTP/1.0 200 OK\r\n{head}{{}}"))
            + &line(1, &format!("HTTP/1.0 404 Not Found\r\n{head}gone"));
        assert_eq!(answer(&logs, 0).unwrap().status(), 200);
        let second = answer(&logs, 1).unwrap();
        assert_eq!(
            (second.status().as_u16(), &second.headers()["warning"]),
            (404, &"299 - \"old\"".parse().unwrap())
        );
        assert_eq!(second.into_body().collect_bytes().await.unwrap(), "gone");
    }

    #[test]
    fn an_answer_that_did_not_fit_is_no_answer() {
        let logs = line(0, &format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(5_000)));
        let table = [
            ("", "is not in the command's log"),
            (&logs[..40], "is cut off"),
            (&logs[..logs.len() - 9], "is cut off"),
        ];
        for (logs, said) in table {
            let error = answer(logs, 0).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_command_that_failed_is_told_by_its_last_words() {
        let ran = |logs: &str| Ran {
            exit_code: 127,
            logs: logs.into(),
        };
        assert_eq!(
            ended_well(ran("sh: bash: not found\n"))
                .unwrap_err()
                .to_string(),
            "the command that asks the API server ended with exit code 127: sh: bash: not found"
        );
    }

    #[tokio::test]
    async fn a_question_is_written_as_the_proxy_takes_it() {
        let request = Request::patch("/api/v1/namespaces/web?fieldManager=seaworthy")
            .header("content-type", "application/apply-patch+yaml");
        let written = written(request.body(Body::from(b"{}".to_vec())).unwrap())
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "PATCH /api/v1/namespaces/web?fieldManager=seaworthy HTTP/1.0\r\nHost: localhost\r\ncontent-type: application/apply-patch+yaml\r\nContent-Length: 2\r\n\r\n{}"
        );
    }
}
