//! One response of the application: whether it is healthy, and of which version it is.

use std::io::ErrorKind;
use std::time::Duration;

use http_client::header::CONNECTION;
use http_client::{Client, Error, Redirects};
use serde_json::Value;

/// Timeout of one response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

// Whether a healthy response has the commit of the version that was deployed, if one is expected.
fn judge(status: u16, body: &str, commit: Option<&str>) -> Result<bool, String> {
    if !(200..300).contains(&status) {
        return Err(format!("status {status}"));
    }
    let response = serde_json::from_str::<Value>(body).unwrap_or_default();
    let (Some(actual), Some(expected)) = (response["commit"].as_str(), commit) else {
        return Ok(false);
    };
    if actual == expected {
        return Ok(true);
    }
    Err(format!(
        "commit `{actual}` responded; expected `{expected}`"
    ))
}

/// Whether the application at `url` is healthy, and names `commit`. Of its response, the start is read: what is the
/// application's is foreign.
///
/// # Errors
/// With the reason why it is not: the status, the commit, or why there is no response.
pub(super) async fn query(http: &Client, url: &str, commit: Option<&str>) -> Result<bool, String> {
    // Each on its own connection: the load balancer may choose another pod.
    let request = http
        .get(url)
        .redirects(Redirects::SameHost)
        .header(CONNECTION, "close")
        .timeout(RESPONSE_TIMEOUT);
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            judge(status, &response.error_text().await, commit)
        }
        Err(e @ Error::Redirect { .. }) => Err(e.to_string()),
        Err(e) => Err(no_response(&e)),
    }
}

// The last cause says what happened: refused, not resolved, a certificate that is not valid for this name.
fn no_response(error: &Error) -> String {
    if error.is_timeout() {
        return format!("no response within {}s", RESPONSE_TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let hint = match cause
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind)
    {
        Some(ErrorKind::ConnectionRefused) => "; nothing listens there",
        _ => "",
    };
    format!("no response: {cause}{hint}")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::Response;
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
        assert!(
            problem.ends_with("is not followed: it is another host"),
            "{problem}"
        );
        assert_eq!(other.seen(), []);
        assert_eq!(get("/login").await, Ok(false));
        assert_eq!(get("/endless").await, Ok(false));
        assert!(sent.load(std::sync::atomic::Ordering::Relaxed) < 32 * 1024 * 1024);
    }

    #[test]
    fn a_response_of_an_old_pod_is_not_healthy() {
        assert_eq!(judge(200, r#"{"commit": "new"}"#, Some("new")), Ok(true));
        assert_eq!(
            judge(200, r#"{"commit": "old"}"#, Some("new")).unwrap_err(),
            "commit `old` responded; expected `new`"
        );
        for body in ["ok", "{}", r#"{"commit": 1}"#] {
            assert_eq!(judge(200, body, Some("new")), Ok(false));
        }
        assert_eq!(judge(200, r#"{"commit": "old"}"#, None), Ok(false));
        assert_eq!(judge(503, "", None).unwrap_err(), "status 503");
    }

    #[tokio::test]
    async fn why_there_is_no_response_is_named() {
        let http = Client::direct().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let problem = query(&http, &format!("http://127.0.0.1:{port}/"), None).await;
        assert_eq!(
            problem.unwrap_err(),
            "no response: Connection refused (os error 111); nothing listens there"
        );
        let plain = Recorder::start(|_| Response::default()).await.unwrap();
        let problem = query(&http, &format!("https://{}/", plain.host()), None).await;
        assert_eq!(
            problem.unwrap_err(),
            "no response: received corrupt message of type InvalidContentType"
        );
        let problem = query(&http, "http://no-such-host.invalid/", None).await;
        let problem = problem.unwrap_err();
        assert!(problem.contains("failed to lookup address"), "{problem}");
    }
}
