//! One way to see that the application is healthy.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use actions_toolkit::text;
use anyhow::bail;
use docker::{Container, ImageConfig};
use http_client::header::HOST;
use http_client::{Client, Redirects, StatusCode};

use super::application::environment;
use super::{HEALTHCHECK_TIMEOUT, LINE, RESPONSE_TIMEOUT, check_command};
use crate::request::{HealthTarget, Smoke};

/// The host that applications accept in development.
pub(super) const LOCALHOST: &str = "localhost";
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
        /// Whether a response to a request for `localhost` is healthy too, where the address is rejected.
        accepts_localhost: bool,
        /// The response to the address, if only a request for `localhost` was healthy.
        rejected: RefCell<Option<String>>,
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
    let is_auto = smoke.health == HealthTarget::Auto;
    let http = |path: &str| Probe::Http {
        client,
        address,
        path: path.to_owned(),
        accepts_redirects: is_auto && path == "/",
        accepts_localhost: is_auto,
        rejected: RefCell::default(),
    };
    Ok(match &smoke.health {
        HealthTarget::Path(path) => vec![http(path)],
        HealthTarget::Auto => {
            let env = environment(smoke, config);
            let own = check_command(config).and_then(|command| url(&command, &env));
            let own = own.map(|url| url.path);
            let usual = PATHS.iter().filter(|path| own.as_deref() != Some(**path));
            own.iter()
                .map(String::as_str)
                .chain(usual.copied())
                .map(http)
                .collect()
        }
        HealthTarget::Tcp => vec![Probe::Tcp(address)],
        HealthTarget::HealthCheck => {
            let Some(command) = check_command(config) else {
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
            Self::Http { .. } => self.request().await,
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

    /// The response to a request for its address, if it was healthy for `localhost` only.
    pub(super) fn rejected(&self) -> Option<String> {
        match self {
            Self::Http { rejected, .. } => rejected.borrow().clone(),
            Self::Tcp(_) | Self::Command { .. } => None,
        }
    }

    async fn request(&self) -> Option<String> {
        let problem = match self.response(None).await? {
            Response::Failed(problem) => return Some(problem),
            Response::Unhealthy(status) => format!("it responded with {status}"),
            // Frameworks that check the host of a request reject an address with one of these.
            Response::Rejected(status) => {
                let problem = format!("it responded with {status}");
                match self.response(Some(LOCALHOST)).await {
                    None => {}
                    Some(Response::Unhealthy(other)) => {
                        return Some(format!("{problem}, and with {other} for `{LOCALHOST}`"));
                    }
                    Some(_) => return Some(problem),
                }
                let Self::Http {
                    accepts_localhost: true,
                    rejected,
                    ..
                } = self
                else {
                    return Some(format!(
                        "{problem}, and is healthy for a request whose host is `{LOCALHOST}`; probes of Kubernetes request its address: \
                         accept every host for this path (Django: `ALLOWED_HOSTS`), or set `health-path: auto`"
                    ));
                };
                rejected.replace(Some(status.to_string()));
                return None;
            }
        };
        Some(problem)
    }

    // What is wrong with the response to a request for `host`, or the address. The status is the verdict: no redirect is followed,
    // and no body is read.
    async fn response(&self, host: Option<&str>) -> Option<Response> {
        let Self::Http {
            client,
            path,
            accepts_redirects,
            ..
        } = self
        else {
            return None;
        };
        let mut request = client.get(self.place()).redirects(Redirects::Returned);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let problem = match request.timeout(RESPONSE_TIMEOUT).send().await {
            Ok(response) if response.status().is_success() => return None,
            Ok(response) if *accepts_redirects && response.status().is_redirection() => {
                return None;
            }
            Ok(response) => {
                let status = response.status();
                return Some(match status.as_u16() {
                    400 | 403 | 421 => Response::Rejected(status),
                    _ => Response::Unhealthy(status),
                });
            }
            Err(e) if e.is_timeout() => format!(
                "it did not respond within {}",
                text::seconds(RESPONSE_TIMEOUT)
            ),
            Err(e) if e.is_connect() => NOTHING_LISTENS.to_owned(),
            Err(_) if path.is_empty() => "its address is invalid".to_owned(),
            Err(_) => "its response is not HTTP".to_owned(),
        };
        Some(Response::Failed(problem))
    }
}

// A response that is not healthy.
enum Response {
    Unhealthy(StatusCode),
    // The host of the request may be the reason.
    Rejected(StatusCode),
    Failed(String),
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

/// The first URL in a command with the variables `env`; curl and wget take it without a scheme, too.
pub(super) fn url(command: &[&str], env: &[(&str, &str)]) -> Option<Url> {
    let text = expanded(&command.join(" "), env);
    let at = text.find("http://").or_else(|| text.find("https://"));
    let (_, rest) = match at {
        Some(at) => text[at..].split_once("://")?,
        None => ("", without_scheme(&text)?),
    };
    let is_end = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | ';' | '|' | '&' | '<' | '>')
    };
    let rest = &rest[..rest.find(is_end).unwrap_or(rest.len())];
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let port = host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    // A variable that the shell sets can't be resolved here.
    let path = if path.contains('$') { "/" } else { path };
    Some(Url {
        port,
        path: path.to_owned(),
    })
}

// `localhost:8000/health`; the host alone may be the argument of anything.
fn without_scheme(text: &str) -> Option<&str> {
    let is_request = ["curl", "wget"].iter().any(|name| text.contains(name));
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    words.find(|word| {
        let hosts = [LOCALHOST, "127.0.0.1", "0.0.0.0", "[::1]"];
        let mut after = hosts.iter().filter_map(|host| word.strip_prefix(host));
        is_request && after.any(|after| after.starts_with([':', '/']))
    })
}

// `text` with the values of `$NAME`, `${NAME}` and `${NAME:-default}`; what has none stays as it is.
fn expanded(text: &str, env: &[(&str, &str)]) -> String {
    let value = |name: &str| {
        let of_name = env.iter().find(|(known, _)| *known == name);
        of_name.map(|(_, value)| *value)
    };
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let braced = part.strip_prefix('{').and_then(|part| part.split_once('}'));
        let (name, default, rest) = if let Some((inside, rest)) = braced {
            match inside.split_once('-') {
                // `:-` is for an empty value, too (POSIX, "Parameter Expansion").
                Some((name, default)) => match name.strip_suffix(':') {
                    Some(name) if value(name) == Some("") => ("", Some(default), rest),
                    Some(name) => (name, Some(default), rest),
                    None => (name, Some(default), rest),
                },
                None => (inside, None, rest),
            }
        } else {
            let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let (name, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
            (name, None, rest)
        };
        if let Some(value) = value(name).or(default) {
            whole.push_str(value);
            whole.push_str(rest);
        } else {
            whole.push('$');
            whole.push_str(part);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_health_check_is_read() {
        type Row = (&'static [&'static str], Option<(Option<u16>, &'static str)>);
        let table: [Row; 11] = [
            (
                &["CMD-SHELL", "curl -f localhost:8000/health || exit 1"],
                Some((Some(8000), "/health")),
            ),
            (
                &["wget", "-q", "--spider", "127.0.0.1/up"],
                Some((None, "/up")),
            ),
            (
                &["curl", "http://localhost:${APP_PORT:-1}${NO-/ok}?$KEY"],
                Some((Some(7000), "/ok?")),
            ),
            (&["mysqladmin", "ping", "-h", "localhost:1/x"], None),
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
            let env = [("APP_PORT", "7000"), ("KEY", ""), ("APP_PORT", "2")];
            let url = url(command, &env).map(|url| (url.port, url.path));
            let actual = url.as_ref().map(|(port, path)| (*port, path.as_str()));
            assert_eq!(actual, expected, "{command:?}");
        }
    }
}
