//! One response of the application: whether it is healthy, and of which version it is.

use std::io::ErrorKind;
use std::time::Duration;

use http_client::header::CONNECTION;
use http_client::{Client, Error, Redirects};
use serde_json::Value;

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
        _ => tls_problem(&cause)
            .unwrap_or_else(|| Problem::Unreachable(format!("no response: {cause}"))),
    }
}

// A failed TLS handshake, as rustls words it. Whoever has the wrong certificate was reached, and no caller gets further.
fn tls_problem(cause: &str) -> Option<Problem> {
    const SELF_SIGNED: &str = "; if that is intended, set `health-insecure: true`";
    if cause.contains("InvalidContentType") {
        let problem = format!("no response: the port does not speak TLS ({cause})");
        return Some(Problem::Unreachable(problem));
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
    use axum::response::Response;
    use http_client::Certificates;
    use testkit::pki::{CertificateAuthority, Leaf};
    use testkit::server::tls_config;
    use testkit::{Recorder, endless};

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
