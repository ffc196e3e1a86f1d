//! The health of the new version: the load balancer's address, and the responses of the service there.

use std::time::{Duration, Instant};

use actions_toolkit::{Context, Log, PolicyFailure};
use http_client::header::CONNECTION;
use http_client::{Client, Error, Redirects};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use serde_json::Value;

use crate::kubernetes::{Cluster, DEFAULT_NAMESPACE, Object, OutageBudget, poll_interval};
use crate::report::Report;
use crate::request::Request;

/// Healthy responses in a row that are required: the first request after a rollout may still be lost.
const IN_A_ROW: u32 = 3;
/// The interval after a healthy response.
const HEALTHY_INTERVAL: Duration = Duration::from_millis(50);

/// Timeout of one response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The IP address or host name.
    pub(crate) host: String,
    /// `http://…` or `https://…`, with the port if it is not the scheme's own.
    pub(crate) url: String,
}

/// The Service of type `LoadBalancer` among `objects`.
fn load_balancer(objects: &[Object]) -> Option<&Object> {
    let is_load_balancer = |object: &&Object| {
        object.kind() == "Service"
            && object
                .value
                .pointer("/spec/type")
                .is_some_and(|t| t == "LoadBalancer")
    };
    objects.iter().find(is_load_balancer)
}

// The port that most likely speaks HTTP: the first by `appProtocol` or name, or 80, or one of HTTPS, or just the first. A
// certificate is rarely valid for an IP address, so HTTPS comes second.
fn http_port(ports: &[ServicePort]) -> (&'static str, i32) {
    let is = |port: &ServicePort, scheme: &str| match (&port.app_protocol, &port.name) {
        (Some(protocol), _) => protocol.eq_ignore_ascii_case(scheme),
        // Conventional: `http-web`.
        (None, Some(name)) => name.split('-').next() == Some(scheme),
        (None, None) => false,
    };
    let rank = |port: &ServicePort| match port {
        port if port.protocol.as_deref().is_some_and(|it| it != "TCP") => 5,
        port if is(port, "http") => 0,
        port if is(port, "https") => 2,
        port if port.app_protocol.is_some() => 4,
        port if port.port == 80 => 1,
        port if port.port == 443 => 2,
        _ => 3,
    };
    let port = ports.iter().min_by_key(|port| rank(port));
    port.map_or(("http", 80), |port| {
        let is_https = rank(port) == 2;
        (if is_https { "https" } else { "http" }, port.port)
    })
}

fn address(service: &Service) -> Option<Address> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    let ingress = balancer.ingress.as_ref()?.first()?;
    let host = ingress.ip.clone().or_else(|| ingress.hostname.clone())?;
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    let (scheme, port) = http_port(ports.unwrap_or_default());
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let url = match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{bracketed}"),
        (scheme, port) => format!("{scheme}://{bracketed}:{port}"),
    };
    Some(Address { host, url })
}

/// Wait for the address of the load balancer and for healthy responses there, with `commit` if there is one. The report
/// gets the address as soon as it is known.
///
/// # Errors
/// [`PolicyFailure`] when there is no address or no healthy response in time.
pub(crate) async fn check(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
    objects: &[Object],
    commit: Option<&str>,
) -> anyhow::Result<()> {
    let log = ctx.log();
    if let Some(url) = &request.health_url {
        report.address = Some(Address {
            host: url.host_str().unwrap_or_default().to_owned(),
            url: url.origin().ascii_serialization(),
        });
        let timeout = request.timeouts.health;
        return wait_for_health(ctx.http()?, url.as_str(), commit, timeout, log).await;
    }
    let Some(service) = load_balancer(objects) else {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning("the manifests have no Service of type LoadBalancer, so the health check is skipped; set `health-url` to where the application responds, or `health-path: none` if that is intended");
        }
        return Ok(());
    };
    let address = wait_for_address(cluster, service, request.timeouts.address, log).await?;
    log.info(format!(
        "{} has the address {}",
        service.label(),
        address.host
    ));
    let url = address.url.clone();
    report.address = Some(address);
    let Some(path) = &request.health_path else {
        return Ok(());
    };
    let url = format!("{url}{path}");
    wait_for_health(ctx.http()?, &url, commit, request.timeouts.health, log).await
}

// When there is none in time, the error has the Service's events.
async fn wait_for_address(
    cluster: &Cluster,
    service: &Object,
    timeout: Duration,
    log: &Log,
) -> anyhow::Result<Address> {
    let started = Instant::now();
    let mut logged = Instant::now();
    let mut budget = OutageBudget::default();
    loop {
        let live = budget.spend(cluster.get(service).await)?.flatten();
        if let Some(live) = live
            && let Some(address) = address(&service.read(live)?)
        {
            return Ok(address);
        }
        if started.elapsed() > timeout {
            let namespace = service.namespace().unwrap_or(DEFAULT_NAMESPACE);
            let warnings = cluster.warnings("Service", namespace, service.name()).await;
            let why = if warnings.is_empty() {
                "there are no warnings".to_owned()
            } else {
                warnings.join("; ")
            };
            return Err(PolicyFailure(format!(
                "timed out after {}s (`address-timeout`) waiting for the address of {}: {why}",
                timeout.as_secs(),
                service.label()
            ))
            .into());
        }
        if logged.elapsed() > Duration::from_secs(10) {
            let seconds = started.elapsed().as_secs();
            log.info(format!(
                "{} has no address yet ({seconds}s)",
                service.label()
            ));
            logged = Instant::now();
        }
        tokio::time::sleep(poll_interval::after(started.elapsed())).await;
    }
}

/// Whether a healthy response has the commit of the version that was deployed, if one is expected.
///
/// # Errors
/// With the reason why it is not the healthy response of that version.
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

// Whether the application at `url` is healthy, as `judge` has it. Of its response, the start is read: what is the application's is foreign.
async fn query(http: &Client, url: &str, commit: Option<&str>) -> Result<bool, String> {
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
        Err(e) => Err(format!("no response: {e}")),
    }
}

// Query `url` until it is healthy three times in a row. When it is not in time, the error has the last response.
async fn wait_for_health(
    http: &Client,
    url: &str,
    commit: Option<&str>,
    timeout: Duration,
    log: &Log,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut healthy = 0;
    let mut last = String::new();
    while started.elapsed() <= timeout {
        match query(http, url, commit).await {
            Ok(names_commit) if healthy + 1 == IN_A_ROW => {
                if !names_commit && commit.is_some() {
                    log.info("the response names no commit; that it is the new version is taken from the rollout");
                }
                log.info(format!(
                    "{url} is healthy ({:.0}s)",
                    started.elapsed().as_secs_f64()
                ));
                return Ok(());
            }
            Ok(_) => healthy += 1,
            Err(problem) => {
                healthy = 0;
                if problem != last {
                    log.info(format!("{url}: {problem}"));
                }
                last = problem;
            }
        }
        let pause = if healthy > 0 {
            HEALTHY_INTERVAL
        } else {
            poll_interval::after(started.elapsed())
        };
        tokio::time::sleep(pause).await;
    }
    Err(PolicyFailure(format!(
        "{url} is unhealthy: timed out after {}s (`health-timeout`): {last}",
        timeout.as_secs()
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::Response;
    use serde_json::json;
    use testkit::{Recorder, endless};

    use super::*;

    #[test]
    fn the_port_that_speaks_http_is_requested() {
        let table = [
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 80, "name": "http"}]),
                ("http", 80),
            ),
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "http-web"}]),
                ("http", 8080),
            ),
            (
                json!([{"port": 443, "name": "https"}, {"port": 80, "name": "http"}]),
                ("http", 80),
            ),
            (json!([{"port": 443}, {"port": 80}]), ("http", 80)),
            (
                json!([{"port": 1883, "appProtocol": "mqtt"}, {"port": 8000}]),
                ("http", 8000),
            ),
            (
                json!([{"port": 80, "appProtocol": "mqtt"}, {"port": 443}]),
                ("https", 443),
            ),
            (
                json!([{"port": 443, "protocol": "UDP", "name": "http"}, {"port": 8443, "name": "https"}]),
                ("https", 8443),
            ),
            (json!([{"port": 9000}, {"port": 9001}]), ("http", 9000)),
            (json!([]), ("http", 80)),
        ];
        for (ports, expected) in table {
            let read: Vec<ServicePort> = serde_json::from_value(ports.clone()).unwrap();
            assert_eq!(http_port(&read), expected, "{ports}");
        }
    }

    #[test]
    fn an_address_may_be_a_name_and_have_a_port() {
        let service = |ingress: Value, port: u64| {
            let live = json!({"spec": {"ports": [{"port": port}]}, "status": {"loadBalancer": {"ingress": [ingress]}}});
            serde_json::from_value::<Service>(live).unwrap()
        };
        assert_eq!(
            address(&service(json!({"ip": "10.77.1.10"}), 80))
                .unwrap()
                .url,
            "http://10.77.1.10"
        );
        assert_eq!(
            address(&service(json!({"hostname": "x.example"}), 8080))
                .unwrap()
                .url,
            "http://x.example:8080"
        );
        assert_eq!(
            address(&service(json!({"ip": "fd00::1"}), 80)).unwrap().url,
            "http://[fd00::1]"
        );
        let pending = json!({"status": {"loadBalancer": {"ingress": []}}});
        assert_eq!(address(&serde_json::from_value(pending).unwrap()), None);
    }

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
}
