//! One way to see that the application is healthy.

use std::net::SocketAddr;
use std::time::Duration;

use actions_toolkit::text;
use anyhow::bail;
use docker::{Container, ImageConfig};
use http_client::{Client, Redirects};

use super::{HEALTHCHECK_TIMEOUT, LINE, RESPONSE_TIMEOUT, check_command};
use crate::request::{HealthTarget, Smoke};

pub(super) const NOTHING_LISTENS: &str = "nothing listens on its port";
/// Where frameworks and their users put it, the most specific first.
const PATHS: &[&str] = &[
    "/health",
    "/healthz",
    "/health/",
    "/healthcheck",
    "/api/health",
    "/api/healthz",
    "/actuator/health",
    "/livez",
    "/ready",
    "/readyz",
    "/ping",
    "/status",
    "/up",
    "/_health",
    "/-/healthy",
    "/",
];

/// A check, which has to succeed twice.
#[derive(Debug)]
pub(super) enum Probe<'a> {
    /// A request.
    Http {
        client: &'a Client,
        address: SocketAddr,
        path: String,
        /// Whether a redirect is healthy too, such as one to a login.
        accepts_redirects: bool,
    },
    /// A connection.
    Tcp(SocketAddr),
    /// A command in the container.
    Command {
        title: &'static str,
        command: Vec<String>,
        timeout: Duration,
    },
}

/// Why a probe failed.
pub(super) struct Problem {
    pub(super) message: String,
}

/// The name of what is checked, before it is known which probe it is.
pub(super) fn title(health: &HealthTarget) -> String {
    match health {
        HealthTarget::Path(path) => format!("GET {path}"),
        HealthTarget::Auto => "GET".to_owned(),
        HealthTarget::Tcp => "TCP connection".to_owned(),
        HealthTarget::HealthCheck => "HEALTHCHECK".to_owned(),
        HealthTarget::Command(_) => "health-command".to_owned(),
    }
}

/// The probes, of which one has to succeed.
pub(super) fn of<'a>(
    smoke: &Smoke,
    config: &ImageConfig,
    client: &'a Client,
    address: SocketAddr,
) -> anyhow::Result<Vec<Probe<'a>>> {
    let http = |path: &str, accepts_redirects| Probe::Http {
        client,
        address,
        path: path.to_owned(),
        accepts_redirects,
    };
    Ok(match &smoke.health {
        HealthTarget::Path(path) => vec![http(path, false)],
        HealthTarget::Auto => {
            let own = check_command(&config.healthcheck).and_then(|command| url(&command));
            let own = own.map(|url| url.path);
            let usual = PATHS.iter().filter(|path| own.as_deref() != Some(**path));
            own.iter()
                .map(String::as_str)
                .chain(usual.copied())
                .map(|path| http(path, path == "/"))
                .collect()
        }
        HealthTarget::Tcp => vec![Probe::Tcp(address)],
        HealthTarget::HealthCheck => {
            let Some(command) = check_command(&config.healthcheck) else {
                bail!("`health-path` is `healthcheck`, and the image has no HEALTHCHECK");
            };
            vec![Probe::Command {
                title: "HEALTHCHECK",
                command: command.into_iter().map(ToOwned::to_owned).collect(),
                timeout: config.health.timeout.unwrap_or(HEALTHCHECK_TIMEOUT),
            }]
        }
        HealthTarget::Command(command) => vec![Probe::Command {
            title: "health-command",
            command: ["/bin/sh", "-c", command].map(ToOwned::to_owned).to_vec(),
            timeout: HEALTHCHECK_TIMEOUT,
        }],
    })
}

impl Probe<'_> {
    /// `GET /health`.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Http { path, .. } => format!("GET {path}"),
            Self::Tcp(_) => "TCP connection".to_owned(),
            Self::Command { title, .. } => (*title).to_owned(),
        }
    }

    /// `http://172.17.0.2:8000/health`.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Http { address, path, .. } => format!("http://{address}{path}"),
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Command { title, .. } => (*title).to_owned(),
        }
    }

    /// Try it once.
    pub(super) async fn attempt(
        &self,
        container: &Container,
    ) -> anyhow::Result<Result<(), Problem>> {
        let problem = match self {
            Self::Http {
                client,
                path,
                accepts_redirects,
                ..
            } => self.request(client, path, *accepts_redirects).await,
            Self::Tcp(address) => {
                let connect = tokio::net::TcpStream::connect(address);
                match tokio::time::timeout(RESPONSE_TIMEOUT, connect).await {
                    Ok(Ok(_)) => None,
                    _ => Some(NOTHING_LISTENS.to_owned()),
                }
            }
            Self::Command {
                command, timeout, ..
            } => {
                let command: Vec<_> = command.iter().map(String::as_str).collect();
                let problem = run(container, &command, *timeout).await?;
                problem.map(|problem| format!("it {problem}"))
            }
        };
        Ok(problem.map_or(Ok(()), |message| Err(Problem { message })))
    }

    // The status is the verdict: no redirect is followed, and no body is read.
    async fn request(
        &self,
        client: &Client,
        path: &str,
        accepts_redirects: bool,
    ) -> Option<String> {
        let request = client.get(self.place()).redirects(Redirects::Returned);
        match request.timeout(RESPONSE_TIMEOUT).send().await {
            Ok(response) if response.status().is_success() => None,
            Ok(response) if accepts_redirects && response.status().is_redirection() => None,
            Ok(response) => Some(format!("it responded with {}", response.status())),
            Err(e) if e.is_timeout() => Some(format!(
                "it did not respond within {}",
                text::seconds(RESPONSE_TIMEOUT)
            )),
            Err(e) if e.is_connect() => Some(NOTHING_LISTENS.to_owned()),
            Err(_) if path.is_empty() => Some("its address is invalid".to_owned()),
            Err(_) => Some("its response is not HTTP".to_owned()),
        }
    }
}

/// Run `command` in the container; what is wrong if it does not exit with 0 within `timeout`.
pub(super) async fn run(
    container: &Container,
    command: &[&str],
    timeout: Duration,
) -> anyhow::Result<Option<String>> {
    let exec = container.exec(command);
    let Ok(done) = tokio::time::timeout(timeout, exec).await else {
        return Ok(Some(format!("timed out after {}", text::seconds(timeout))));
    };
    let done = match done {
        Ok(done) => done,
        // It may have exited since; the exit is what is reported then.
        Err(_) if container.exit_code().await?.is_some() => {
            return Ok(Some("could not run".to_owned()));
        }
        Err(e) => return Err(e),
    };
    let last = done
        .output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty());
    let last = last.map(|line| format!(": {}", text::cut(line.trim(), LINE)));
    Ok((done.code != 0)
        .then(|| format!("exited with code {}{}", done.code, last.unwrap_or_default())))
}

/// The port and the path that a health check requests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) port: Option<u16>,
    pub(super) path: String,
}

/// The first URL in a command.
pub(super) fn url(command: &[&str]) -> Option<Url> {
    let text = command.join(" ");
    let at = text.find("http://").or_else(|| text.find("https://"))?;
    let url = &text[at..];
    let is_end = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | ';' | '|' | '&' | '<' | '>')
    };
    let url = &url[..url.find(is_end).unwrap_or(url.len())];
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let port = host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    // A variable of the shell can't be resolved here.
    let path = if path.contains('$') { "/" } else { path };
    Some(Url {
        port,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_health_check_is_read() {
        type Row = (&'static [&'static str], Option<(Option<u16>, &'static str)>);
        let table: [Row; 7] = [
            (
                &["curl", "-f", "http://localhost:5000/ping"],
                Some((Some(5000), "/ping")),
            ),
            (
                &["/bin/sh", "-c", "curl -f http://localhost/ || exit 1"],
                Some((None, "/")),
            ),
            (
                &[
                    "/bin/sh",
                    "-c",
                    "wget -qO- 'http://127.0.0.1:80/api/v1/up?x=1'",
                ],
                Some((Some(80), "/api/v1/up?x=1")),
            ),
            (
                &[
                    "python",
                    "-c",
                    "import urllib.request as r; r.urlopen(\"http://[::1]:8000/h\")",
                ],
                Some((Some(8000), "/h")),
            ),
            (
                &["/bin/sh", "-c", "curl http://localhost:$PORT"],
                Some((None, "/")),
            ),
            (
                &["/bin/sh", "-c", "curl http://localhost:8000/$ROUTE"],
                Some((Some(8000), "/")),
            ),
            (&["pg_isready"], None),
        ];
        for (command, expected) in table {
            let url = url(command).map(|url| (url.port, url.path));
            let actual = url.as_ref().map(|(port, path)| (*port, path.as_str()));
            assert_eq!(actual, expected, "{command:?}");
        }
    }
}
