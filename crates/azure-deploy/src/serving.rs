//! The load balancer's address, and what the service answers there.

use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure};
use reqwest::header::CONNECTION;
use serde_json::Value;

use crate::cluster::{Cluster, DEFAULT_NAMESPACE, Patience};
use crate::object::Object;
use crate::pace;

/// Answers in a row that count as healthy: the first request after a rollout may still be lost.
const IN_A_ROW: u32 = 3;
/// The pause after a good answer.
const BETWEEN_GOOD: Duration = Duration::from_millis(50);

/// Where a service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The IP address or host name.
    pub(crate) host: String,
    /// `http://…`, with the port if it is not 80.
    pub(crate) url: String,
}

/// The Service of type `LoadBalancer` among `objects`.
pub(crate) fn load_balancer(objects: &[Object]) -> Option<&Object> {
    let is = |object: &&Object| {
        object.kind() == "Service"
            && object
                .value
                .pointer("/spec/type")
                .is_some_and(|t| t == "LoadBalancer")
    };
    objects.iter().find(is)
}

fn address(service: &Value) -> Option<Address> {
    let ingress = service.pointer("/status/loadBalancer/ingress/0")?;
    let host = ingress["ip"]
        .as_str()
        .or_else(|| ingress["hostname"].as_str())?
        .to_owned();
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let port = ports
        .into_iter()
        .flatten()
        .find_map(|port| port["port"].as_u64())
        .unwrap_or(80);
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let url = match port {
        80 => format!("http://{bracketed}"),
        443 => format!("https://{bracketed}"),
        port => format!("http://{bracketed}:{port}"),
    };
    Some(Address { host, url })
}

/// Wait for the address of `service`.
///
/// # Errors
/// [`PolicyFailure`] with the Service's events when there is none in time.
pub(crate) async fn wait_for_address(
    cluster: &Cluster,
    service: &Object,
    limit: Duration,
    log: &Log,
) -> anyhow::Result<Address> {
    let begun = Instant::now();
    let mut said = Instant::now();
    let mut patience = Patience::default();
    loop {
        let live = patience.with(cluster.get(service).await)?.flatten();
        if let Some(found) = live.as_ref().and_then(address) {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            let namespace = service.namespace().unwrap_or(DEFAULT_NAMESPACE);
            let warnings = cluster.warnings("Service", namespace, service.name()).await;
            let why = if warnings.is_empty() {
                "there are no warnings about it".to_owned()
            } else {
                warnings.join("; ")
            };
            return Err(PolicyFailure(format!(
                "{} had no address after {} s: {why}",
                service.label(),
                limit.as_secs()
            ))
            .into());
        }
        if said.elapsed() > Duration::from_secs(10) {
            let seconds = begun.elapsed().as_secs();
            log.info(format!(
                "{} has no address yet ({seconds} s)",
                service.label()
            ));
            said = Instant::now();
        }
        tokio::time::sleep(pace::pause(begun.elapsed())).await;
    }
}

/// Why an answer is not the healthy answer of the version that was deployed.
fn problem(status: u16, body: &str, commit: Option<&str>) -> Option<String> {
    if !(200..300).contains(&status) {
        return Some(format!("it answered {status}"));
    }
    let answered = serde_json::from_str::<Value>(body).ok()?;
    let answered = answered.get("commit")?.as_str()?.to_owned();
    let wanted = commit.filter(|wanted| *wanted != answered)?;
    Some(format!("commit `{answered}` answered, not `{wanted}`"))
}

/// Ask `url` until it has answered well three times in a row.
///
/// # Errors
/// [`PolicyFailure`] with the last answer when it has not in time.
pub(crate) async fn wait_for_health(
    http: &reqwest::Client,
    url: &str,
    commit: Option<&str>,
    limit: Duration,
    log: &Log,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut good = 0;
    let mut last = String::new();
    while begun.elapsed() <= limit {
        // On a connection of its own each: the load balancer may pick another pod.
        let asked = http.get(url).header(CONNECTION, "close");
        let found = match asked.timeout(Duration::from_secs(5)).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                problem(status, &answer.text().await.unwrap_or_default(), commit)
            }
            Err(e) => Some(format!("it did not answer: {}", e.without_url())),
        };
        match found {
            None if good + 1 == IN_A_ROW => {
                log.info(format!(
                    "{url} is healthy ({:.0} s)",
                    begun.elapsed().as_secs_f64()
                ));
                return Ok(());
            }
            None => good += 1,
            Some(problem) => {
                good = 0;
                if problem != last {
                    log.info(format!("{url}: {problem}"));
                }
                last = problem;
            }
        }
        let pause = if good > 0 {
            BETWEEN_GOOD
        } else {
            pace::pause(begun.elapsed())
        };
        tokio::time::sleep(pause).await;
    }
    Err(PolicyFailure(format!(
        "{url} was not healthy after {} s: {last}",
        limit.as_secs()
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_may_be_a_name_and_have_a_port() {
        let service = |ingress: Value, port: u64| json!({"spec": {"ports": [{"port": port}]}, "status": {"loadBalancer": {"ingress": [ingress]}}});
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
        assert_eq!(
            address(&json!({"status": {"loadBalancer": {"ingress": []}}})),
            None
        );
    }

    #[test]
    fn an_old_pod_can_not_answer_for_the_new_one() {
        assert_eq!(problem(200, r#"{"commit": "new"}"#, Some("new")), None);
        assert_eq!(
            problem(200, r#"{"commit": "old"}"#, Some("new")).unwrap(),
            "commit `old` answered, not `new`"
        );
        assert_eq!(problem(200, "ok", Some("new")), None);
        assert_eq!(problem(503, "", None).unwrap(), "it answered 503");
    }
}
