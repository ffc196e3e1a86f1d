//! One response of the application: whether it is healthy, and of which version it is.

use std::io::ErrorKind;
use std::time::Duration;

use http_client::header::CONNECTION;
use http_client::{Client, Error, Redirects};
use serde_json::Value;

/// How hyper says that a connection ended before a response did.
const CLOSED: &str = "connection closed before message completed";
/// How it begins to say that what came is not HTTP.
const NOT_HTTP: &[&str] = &["invalid HTTP version", "invalid HTTP status-code"];
/// Timeout of one response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which version a healthy response is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It has the commit that is expected.
    OfCommit,
    /// It has no commit, or none is expected.
    OfAny,
}

/// Why the application is not healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// There is no response of the application: the cause may be on the way to it.
    Unreachable(String),
    /// What has the address does not respond, or refuses the connection: it was reached.
    NoResponse(String),
    /// There is one that is not of a healthy application.
    Unhealthy(String),
    /// The identity may not request one.
    Forbidden(String),
}

impl Problem {
    /// The message.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Unreachable(message)
            | Self::NoResponse(message)
            | Self::Unhealthy(message)
            | Self::Forbidden(message) => message,
        }
    }
}

/// The health by one response of the application, with `commit` if one is expected.
///
/// # Errors
/// With the status, or the other commit.
pub(super) fn judge(status: u16, body: &str, commit: Option<&str>) -> Result<Health, String> {
    if !(200..300).contains(&status) {
        return Err(format!("status {status}"));
    }
    let response = serde_json::from_str::<Value>(body).unwrap_or_default();
    let (Some(actual), Some(expected)) = (response["commit"].as_str(), commit) else {
        return Ok(Health::OfAny);
    };
    if actual == expected {
        return Ok(Health::OfCommit);
    }
    Err(format!(
        "commit `{actual}` responded; expected `{expected}`"
    ))
}

/// The health of the application at `url`. Of its response, the start is read: what is the application's is foreign.
///
/// # Errors
/// With the reason why it is not healthy: the status, the commit, or why there is no response.
pub(super) async fn query(
    http: &Client,
    url: &str,
    commit: Option<&str>,
) -> Result<Health, Problem> {
    // Each on its own connection: the load balancer may choose another pod.
    let request = http
        .get(url)
        .redirects(Redirects::SameHost)
        .header(CONNECTION, "close")
        .timeout(RESPONSE_TIMEOUT);
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            judge(status, &response.error_text().await, commit).map_err(Problem::Unhealthy)
        }
        Err(e @ Error::Redirect { .. }) => Err(not_followed(&e)),
        Err(e) => Err(no_response(&e)),
    }
}

/// The problem that a redirect is not followed.
pub(super) fn not_followed(redirect: &Error) -> Problem {
    Problem::Unhealthy(format!(
        "{redirect}; use a `health-path` that responds itself, or set `health-url`"
    ))
}

// The last cause says what happened: refused, not resolved, a certificate that is not valid for this name.
fn no_response(error: &Error) -> Problem {
    if error.is_timeout() && error.is_connect() {
        return Problem::Unreachable("no connection in time".to_owned());
    }
    if error.is_timeout() {
        let limit = RESPONSE_TIMEOUT.as_secs();
        return Problem::NoResponse(format!("no response within {limit}s"));
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let kind = cause
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    let cause = cause.to_string();
    match kind {
        Some(ErrorKind::ConnectionRefused) => {
            Problem::NoResponse(format!("no response: {cause}; nothing listens there"))
        }
        // What is on the way may reset a connection, too: whether the application was reached is not known.
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Problem::Unreachable(format!(
            "no response: {cause}; the application, or what is on the way to it, ended the connection"
        )),
        _ if cause.starts_with(CLOSED) => closed(&cause),
        _ if NOT_HTTP.iter().any(|start| cause.starts_with(start)) => Problem::Unhealthy(format!(
            "the response is not HTTP ({cause}); set `health-port`, or `health-url` with its scheme"
        )),
        _ => tls_problem(&cause)
            .unwrap_or_else(|| Problem::Unreachable(format!("no response: {cause}"))),
    }
}

// It was reached: a program there closes connections, or what is in front of it, since it has no pod to pass them to.
fn closed(cause: &str) -> Problem {
    Problem::NoResponse(format!(
        "no response: {cause}; the connection was accepted, and closed again"
    ))
}

// A failed TLS handshake, as rustls words it. Whoever has the wrong certificate was reached, and no caller gets further.
fn tls_problem(cause: &str) -> Option<Problem> {
    const SELF_SIGNED: &str = "; if that is intended, set `health-insecure: true`";
    if cause.contains("InvalidContentType") {
        let problem = format!("no response: the port does not speak TLS ({cause})");
        return Some(Problem::Unreachable(problem));
    }
    if let Some(alert) = cause.strip_prefix("received fatal alert: ") {
        return Some(Problem::Unhealthy(format!(
            "TLS failed: the server ended the handshake ({alert}); see its certificate for this host, the versions of TLS that it accepts, and whether it requires a certificate of the client"
        )));
    }
    let problem = cause.strip_prefix("invalid peer certificate: ")?;
    let what = if problem.contains("UnknownIssuer") || problem.contains("CaUsedAsEndEntity") {
        "is signed by an unknown CA"
    } else if problem.contains("not valid for name") || problem.contains("NotValidForName") {
        "is of another host"
    } else if problem.contains("expired") || problem.contains("Expired") {
        "has expired"
    } else {
        "is invalid"
    };
    Some(Problem::Unhealthy(format!(
        "TLS failed: the certificate {what} ({problem}){SELF_SIGNED}"
    )))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::{IntoResponse as _, Response};
    use http_client::Certificates;
    use testkit::pki::{CertificateAuthority, Leaf};
    use testkit::server::tls_config;
    use testkit::{Recorder, endless};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn redirect(location: &str) -> Response {
        let builder = Response::builder().status(302);
        let builder = builder.header("location", location);
        builder.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_health_check_stays_on_its_host_and_reads_the_start_of_a_response() {
        let other = Recorder::start(|_| Response::default()).await.unwrap();
        let elsewhere = format!("http://localhost:{}/", other.port());
        let (body, sent) = endless();
        let body = std::sync::Mutex::new(Some(body));
        let app = Recorder::start(move |seen| match seen.line.as_str() {
            "GET /elsewhere" => redirect(&elsewhere),
            "GET /login" => redirect("/"),
            "GET /endless" => Response::new(body.lock().unwrap().take().unwrap_or_default()),
            _ => Response::default(),
        });
        let app = app.await.unwrap();
        let http = Client::direct().unwrap();
        let get = async |path: &str| {
            let url = format!("http://{}{path}", app.host());
            query(&http, &url, None).await
        };
        let problem = get("/elsewhere").await.unwrap_err();
        let end = "is not followed: it is another host; use a `health-path` that responds itself, or set `health-url`";
        assert!(problem.message().ends_with(end), "{problem:?}");
        assert_eq!(other.seen(), []);
        assert_eq!(get("/login").await, Ok(Health::OfAny));
        assert_eq!(get("/endless").await, Ok(Health::OfAny));
        assert!(sent.load(std::sync::atomic::Ordering::Relaxed) < 32 * 1024 * 1024);
    }

    #[test]
    fn a_response_of_an_old_pod_is_not_healthy() {
        assert_eq!(
            judge(200, r#"{"commit": "new"}"#, Some("new")),
            Ok(Health::OfCommit)
        );
        assert_eq!(
            judge(200, r#"{"commit": "old"}"#, Some("new")).unwrap_err(),
            "commit `old` responded; expected `new`"
        );
        for body in ["ok", "{}", r#"{"commit": 1}"#] {
            assert_eq!(judge(200, body, Some("new")), Ok(Health::OfAny));
        }
        assert_eq!(judge(200, r#"{"commit": "old"}"#, None), Ok(Health::OfAny));
        assert_eq!(judge(503, "", None).unwrap_err(), "status 503");
    }

    #[tokio::test]
    async fn why_there_is_no_response_is_named() {
        let http = Client::direct().unwrap();
        let get = async |url: String| {
            let problem = query(&http, &url, None).await.unwrap_err();
            let is_of_address = matches!(problem, Problem::Unreachable(_) | Problem::NoResponse(_));
            assert!(is_of_address, "{problem:?}");
            problem.message().to_owned()
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        assert_eq!(
            get(format!("http://127.0.0.1:{port}/")).await,
            "no response: Connection refused (os error 111); nothing listens there"
        );
        let plain = Recorder::start(|_| Response::default()).await.unwrap();
        assert_eq!(
            get(format!("https://{}/", plain.host())).await,
            "no response: the port does not speak TLS (received corrupt message of type InvalidContentType)"
        );
        let problem = get("http://no-such-host.invalid/".to_owned()).await;
        assert!(problem.contains("failed to lookup address"), "{problem}");
    }

    // A server that sends `response` once it has a request, and closes the connection.
    async fn raw(response: &'static [u8]) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // What is closed before it was read is reset.
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(response).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn what_is_not_a_response_of_http_is_named() {
        let http = Client::reaching(Some("127.0.0.1"), Certificates::Verified).unwrap();
        let get = async |scheme: &str, response: &'static [u8]| {
            let url = format!("{scheme}://{}/", raw(response).await);
            query(&http, &url, None).await.unwrap_err()
        };
        assert_eq!(
            get("http", b"").await,
            Problem::NoResponse("no response: connection closed before message completed; the connection was accepted, and closed again".into())
        );
        let problem = get("http", b"SSH-2.0-OpenSSH_9.2\r\n").await;
        let start = "the response is not HTTP (invalid HTTP version parsed)";
        assert!(problem.message().starts_with(start), "{problem:?}");
        assert!(matches!(problem, Problem::Unhealthy(_)), "{problem:?}");
        // A fatal alert of TLS 1.2: the handshake has failed.
        let problem = get("https", b"\x15\x03\x03\x00\x02\x02\x28").await;
        let start = "TLS failed: the server ended the handshake (HandshakeFailure)";
        assert!(problem.message().starts_with(start), "{problem:?}");
    }

    // The clock stands still until there is nothing else to wait for.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_has_its_time() {
        // Connections are accepted by the kernel, and by nobody else.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let http = Client::reaching(Some("127.0.0.1"), Certificates::Verified).unwrap();
        for scheme in ["http", "https"] {
            let started = tokio::time::Instant::now();
            let url = format!("{scheme}://{address}/");
            let problem = query(&http, &url, None).await.unwrap_err();
            let message = problem.message();
            let is_timeout = ["no response within 5s", "no connection in time"];
            assert!(is_timeout.contains(&message), "{scheme}: {message}");
            let limit = RESPONSE_TIMEOUT + Duration::from_secs(1);
            assert!(started.elapsed() < limit, "{scheme}");
        }
    }

    #[tokio::test]
    async fn redirects_that_lead_nowhere_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::new("test").unwrap();
        let issued = ca.issue(&Leaf::server("app", &["127.0.0.1"])).unwrap();
        issued.write(directory.path(), "app").unwrap();
        let tls = tls_config(directory.path(), "app").unwrap();
        let secure = Recorder::start_tls(tls, |_| Response::default());
        let secure = secure.await.unwrap();
        let secure = format!("https://{}/", secure.host());
        let app = Recorder::start(move |seen| match seen.line.as_str() {
            "GET /loop" => redirect("/loop"),
            "GET /secure" => redirect(&secure),
            "GET /file" => redirect("file:///etc/passwd"),
            _ => redirect("http://[::1"),
        });
        let app = app.await.unwrap();
        let http = Client::direct().unwrap();
        let get = async |path: &str| {
            let url = format!("http://{}{path}", app.host());
            query(&http, &url, None).await.unwrap_err()
        };
        for (path, expected) in [
            ("/loop", "there were five redirects before"),
            ("/file", "it is not an http URL"),
            ("/broken", "it is not a URL"),
        ] {
            let problem = get(path).await;
            let message = problem.message();
            assert!(message.contains("which is not followed: "), "{message}");
            assert!(message.contains(expected), "{message}");
            assert!(matches!(problem, Problem::Unhealthy(_)), "{problem:?}");
        }
        assert_eq!(app.seen().len(), 6 + 1 + 1);
        // To the same host by HTTPS it is followed, and its certificate is verified.
        let problem = get("/secure").await;
        let start = "TLS failed: the certificate is signed by an unknown CA";
        assert!(problem.message().starts_with(start), "{problem:?}");
    }

    #[tokio::test]
    async fn a_status_that_is_not_of_success_is_named() {
        let app = Recorder::start(|_| axum::http::StatusCode::BAD_GATEWAY.into_response());
        let app = app.await.unwrap();
        let url = format!("http://{}/", app.host());
        let problem = query(&Client::direct().unwrap(), &url, None).await;
        assert_eq!(problem, Err(Problem::Unhealthy("status 502".into())));
    }

    // As to a pod that is ending: the time until another one is tried is short.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_comes_is_given_up_early() {
        // Its queue has room for one connection, and the kernel drops what comes after.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();

        let started = tokio::time::Instant::now();
        let http = Client::reaching(Some("127.0.0.1"), Certificates::Verified).unwrap();
        let url = format!("https://{address}/");
        let problem = query(&http, &url, None).await.unwrap_err();
        assert_eq!(problem.message(), "no connection in time");
        assert!(
            started.elapsed() < RESPONSE_TIMEOUT,
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_valid_is_named_and_may_be_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::new("test").unwrap();
        let issued = ca.issue(&Leaf::server("shop", &["shop.example"])).unwrap();
        issued.write(directory.path(), "shop").unwrap();
        let tls = tls_config(directory.path(), "shop").unwrap();
        let app = Recorder::start_tls(tls, |_| Response::default());
        let app = app.await.unwrap();
        let get = async |http: Client, host: &str| {
            let url = format!("https://{host}:{}/", app.port());
            query(&http, &url, None).await
        };
        let at = Some("127.0.0.1");
        let http = Client::reaching(at, Certificates::Verified).unwrap();
        let problem = get(http, "shop.example").await.unwrap_err();
        // It was reached: nothing else is tried in its place.
        let message = "TLS failed: the certificate is signed by an unknown CA (UnknownIssuer); if that is intended, set `health-insecure: true`";
        assert_eq!(problem, Problem::Unhealthy(message.to_owned()));
        let http = Client::reaching(at, Certificates::Any).unwrap();
        assert_eq!(get(http, "shop.example").await, Ok(Health::OfAny));
        let http = Client::trusting(ca.certificate().as_bytes()).unwrap();
        let problem = get(http, "127.0.0.1").await.unwrap_err();
        let start = "TLS failed: the certificate is of another host (";
        assert!(problem.message().starts_with(start), "{problem:?}");
    }
}
