//! The health of the new version: the load balancer's address, and the responses of the service there.

mod address;
mod response;

use std::time::{Duration, Instant};

use actions_toolkit::{Context, Log, PolicyFailure};
use http_client::Client;

use crate::kubernetes::{Cluster, DEFAULT_NAMESPACE, Object, OutageBudget, poll_interval};
use crate::report::Report;
use crate::request::Request;

pub(crate) use address::Address;
use address::addresses;
use response::query;

/// Healthy responses in a row that are required: the first request after a rollout may still be lost.
const IN_A_ROW: u32 = 3;
/// The interval after a healthy response.
const HEALTHY_INTERVAL: Duration = Duration::from_millis(50);

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
        let url = url.as_str().to_owned();
        return wait_for_health(ctx.http()?, &[url], commit, timeout, log)
            .await
            .map(drop);
    }
    let Some(service) = load_balancer(objects) else {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning("the manifests have no Service of type LoadBalancer, so the health check is skipped; set `health-url` to where the application responds, or `health-path: none` if that is intended");
        }
        return Ok(());
    };
    let mut found = wait_for_address(cluster, service, request.timeouts.address, log).await?;
    let hosts: Vec<_> = found.iter().map(|address| address.host.as_str()).collect();
    let hosts = hosts.join(" and ");
    log.info(format!("{} has the address {hosts}", service.label()));
    report.address = found.first().cloned();
    let Some(path) = &request.health_path else {
        return Ok(());
    };
    let urls = found.iter().map(|address| format!("{}{path}", address.url));
    let urls: Vec<_> = urls.collect();
    let timeout = request.timeouts.health;
    let healthy = wait_for_health(ctx.http()?, &urls, commit, timeout, log).await?;
    report.address = Some(found.swap_remove(healthy));
    Ok(())
}

// When there is none in time, the error has the Service's events.
async fn wait_for_address(
    cluster: &Cluster,
    service: &Object,
    timeout: Duration,
    log: &Log,
) -> anyhow::Result<Vec<Address>> {
    let started = Instant::now();
    let mut logged = Instant::now();
    let mut budget = OutageBudget::default();
    loop {
        let live = budget.spend(cluster.get(service).await)?.flatten();
        if let Some(live) = live {
            let found = addresses(&service.read(live)?);
            if !found.is_empty() {
                return Ok(found);
            }
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

// Query each of `urls` in turn until one is healthy three times in a row; which one. When none is in time, the error has the
// last response of each.
async fn wait_for_health(
    http: &Client,
    urls: &[String],
    commit: Option<&str>,
    timeout: Duration,
    log: &Log,
) -> anyhow::Result<usize> {
    let started = Instant::now();
    let mut healthy = 0;
    let mut at = 0;
    let mut last = vec![String::new(); urls.len()];
    while started.elapsed() <= timeout {
        let url = &urls[at];
        match query(http, url, commit).await {
            Ok(names_commit) if healthy + 1 == IN_A_ROW => {
                if !names_commit && commit.is_some() {
                    log.info("the response names no commit; that it is the new version is taken from the rollout");
                }
                log.info(format!(
                    "{url} is healthy ({:.0}s)",
                    started.elapsed().as_secs_f64()
                ));
                return Ok(at);
            }
            Ok(_) => healthy += 1,
            Err(problem) => {
                healthy = 0;
                if problem != last[at] {
                    log.info(format!("{url}: {problem}"));
                }
                last[at] = problem;
                at = (at + 1) % urls.len();
            }
        }
        let pause = if healthy > 0 {
            HEALTHY_INTERVAL
        } else {
            poll_interval::after(started.elapsed())
        };
        tokio::time::sleep(pause).await;
    }
    let limit = format!("timed out after {}s (`health-timeout`)", timeout.as_secs());
    let problem = if let ([url], [problem]) = (urls, &last[..]) {
        format!("{url} is unhealthy: {limit}: {problem}")
    } else {
        let tried = urls.iter().zip(last);
        let tried: Vec<_> = tried
            .map(|(url, problem)| format!("{url}: {problem}"))
            .collect();
        format!("the service is unhealthy: {limit}: {}", tried.join("; "))
    };
    Err(PolicyFailure(problem).into())
}

#[cfg(test)]
mod tests {
    use axum::response::Response;
    use testkit::Recorder;

    use super::*;

    #[tokio::test]
    async fn of_several_addresses_the_one_that_this_machine_reaches_is_enough() {
        let app = Recorder::start(|_| Response::default()).await.unwrap();
        let http = Client::direct().unwrap();
        // Port 9 is that of a service which no machine runs any more (RFC 863).
        let urls = ["http://[::1]:9/", &format!("http://{}/", app.host())].map(ToOwned::to_owned);
        let limit = Duration::from_secs(20);
        let log = Log::sink();
        let healthy = wait_for_health(&http, &urls, None, limit, &log).await;
        assert_eq!(healthy.unwrap(), 1);

        let none = wait_for_health(&http, &urls[..1], None, Duration::from_millis(1), &log).await;
        let error = none.unwrap_err().to_string();
        assert!(
            error.starts_with(
                "http://[::1]:9/ is unhealthy: timed out after 0s (`health-timeout`): no response: "
            ),
            "{error}"
        );
    }
}
