//! The health of the new version: what exposes the application, its address, and the responses of the application there.

mod address;
mod endpoint;
mod exposure;
mod gateway;
mod ingress;
mod progress;
mod response;
mod site;
mod target;

use std::time::{Duration, Instant};

use actions_toolkit::{Context, Log, PolicyFailure};

use crate::kubernetes::{Cluster, Object, Rejected, containers, poll_interval};
use crate::manifests::ImageNames;
use crate::report::Report;
use crate::request::Request;

pub(crate) use address::Address;
use endpoint::Endpoint;
use exposure::{Exposure, Services};
use response::{Health, Problem};
use target::Target;

/// Healthy responses in a row that are required: the first request after a rollout may still be lost.
const IN_A_ROW: u32 = 3;
/// The interval after a healthy response.
const HEALTHY_INTERVAL: Duration = Duration::from_millis(50);

/// What a health check that did not fail is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The application responds, or its pods are ready and that is all that was requested.
    Healthy,
    /// The application has no replicas: nothing responds.
    NothingServes,
}

/// Wait for the address of what exposes the application, and for healthy responses there, with `commit` if there is one. The
/// report gets the address as soon as it is known.
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
) -> anyhow::Result<Checked> {
    let log = ctx.log();
    if let Some(idle) = without_replicas(objects, &request.names) {
        if !report.rolled_back {
            log.warning(format!(
                "{} has no replicas (`replicas: 0`): nothing serves, so the health check is skipped",
                idle.label()
            ));
        }
        return Ok(Checked::NothingServes);
    }
    let timeout = request.timeouts.health;
    if let Some(url) = &request.health_url {
        report.address = Some(Address {
            host: url.host_str().unwrap_or_default().to_owned(),
            url: url.origin().ascii_serialization(),
        });
        let url = Endpoint::at_url(url.as_str().to_owned(), request.health_certificates)?;
        let endpoints = Endpoints::new(vec![url], None);
        endpoints.wait(cluster, commit, timeout, log).await?;
        return Ok(Checked::Healthy);
    }
    let services = Services::find(objects, &request.names);
    let Some(exposure) = Exposure::find(objects, &services) else {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning("the manifests have no Service of type LoadBalancer, no Ingress and no HTTPRoute for the application, so the health check is skipped; set `health-url` to where the application responds, or `health-path: none` if that is intended");
        }
        return Ok(Checked::Healthy);
    };
    let label = exposure.object().label();
    report.exposed_by = Some(label.clone());
    let target = Target::find(log, request, cluster, exposure, &services).await;
    let target = match target {
        Ok(target) => target,
        // That is known before the version has served at all: it says nothing of its health.
        Err(e) if is_forbidden(&e) => {
            log.warning(format!(
                "the health check is skipped: {e:#}; or set `health-url` to where the application responds"
            ));
            return Ok(Checked::Healthy);
        }
        Err(e) => return Err(e),
    };
    let Some(first) = target.addresses.first() else {
        return Ok(Checked::Healthy);
    };
    report.address = Some(first.clone());
    let hosts = target.addresses.iter().map(|address| address.host.as_str());
    let hosts: Vec<_> = hosts.collect();
    log.info(format!("{label} has the address {}", hosts.join(" and ")));
    if target.endpoints.is_empty() {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning(format!(
                "no port of {label} speaks HTTP, so the health check is skipped; name the port `http` if one does, or set `health-url` to where the application responds"
            ));
        }
        return Ok(Checked::Healthy);
    }
    let queried: Vec<_> = target.endpoints.iter().map(ToString::to_string).collect();
    log.info(format!(
        "the health is checked by {label}: {}",
        queried.join(" or ")
    ));
    // An endpoint inside the cluster comes before those at the addresses.
    let before = queried.len().saturating_sub(target.addresses.len());
    let endpoints = Endpoints::new(target.endpoints, target.inside);
    let healthy = endpoints.wait(cluster, commit, timeout, log).await?;
    let at = healthy.checked_sub(before);
    if let Some(address) = at.and_then(|at| target.addresses.into_iter().nth(at)) {
        report.address = Some(address);
    }
    Ok(Checked::Healthy)
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    let rejected = error.downcast_ref::<Rejected>();
    rejected.is_some_and(|rejected| rejected.code == 403)
}

// The first workload of `names`, if none of these workloads has a replica.
fn without_replicas<'a>(objects: &'a [Object], names: &ImageNames) -> Option<&'a Object> {
    let runs = |object: &&Object| {
        let containers = containers(&object.value);
        let mut images = containers.iter().filter_map(|c| c["image"].as_str());
        object.is_workload() && !object.is_job() && images.any(|image| names.is_of(image))
    };
    let mut own = objects.iter().filter(runs).peekable();
    let first = own.peek().copied()?;
    own.all(|workload| workload.value["spec"]["replicas"] == 0)
        .then_some(first)
}

/// Where the health is queried, in turn until one is healthy.
struct Endpoints {
    all: Vec<Endpoint>,
    /// How many are tried in any case; the one after them only while none of them is reached.
    regular: usize,
}

impl Endpoints {
    fn new(mut regular: Vec<Endpoint>, inside: Option<Endpoint>) -> Self {
        let count = regular.len();
        regular.extend(inside);
        Self {
            all: regular,
            regular: count,
        }
    }

    // The one after `at`, whose last problems are `last`.
    fn next(&self, at: usize, last: &[Option<Problem>]) -> usize {
        let next = (at + 1) % self.all.len();
        let is_unreachable =
            |problem: &Option<Problem>| matches!(problem, Some(Problem::Unreachable(_)));
        if next >= self.regular && !last.iter().take(self.regular).all(is_unreachable) {
            return 0;
        }
        next
    }

    // Query each in turn until one is healthy three times in a row; which one. When none is in time, the error has the
    // last response of each.
    async fn wait(
        &self,
        cluster: &Cluster,
        commit: Option<&str>,
        timeout: Duration,
        log: &Log,
    ) -> anyhow::Result<usize> {
        let query = async |at: usize| self.all[at].query(cluster, commit).await;
        self.wait_by(query, commit, timeout, log).await
    }

    async fn wait_by(
        &self,
        query: impl AsyncFn(usize) -> Result<Health, Problem>,
        commit: Option<&str>,
        timeout: Duration,
        log: &Log,
    ) -> anyhow::Result<usize> {
        let started = Instant::now();
        let mut healthy = 0;
        let mut at = 0;
        let mut last: Vec<Option<Problem>> = vec![None; self.all.len()];
        while started.elapsed() <= timeout {
            let endpoint = &self.all[at];
            match query(at).await {
                Ok(health) if healthy + 1 == IN_A_ROW => {
                    if health == Health::OfAny && commit.is_some() {
                        log.info("the response names no commit; that it is the new version is taken from the rollout");
                    }
                    log.info(format!(
                        "{endpoint} is healthy ({:.0}s)",
                        started.elapsed().as_secs_f64()
                    ));
                    return Ok(at);
                }
                Ok(_) => healthy += 1,
                Err(problem) => {
                    healthy = 0;
                    if last[at].as_ref() != Some(&problem) {
                        log.info(format!("{endpoint}: {}", problem.message()));
                    }
                    last[at] = Some(problem);
                    at = self.next(at, &last);
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
        let message = |problem: &Option<Problem>| match problem {
            Some(problem) => problem.message().to_owned(),
            None => "not queried in time".to_owned(),
        };
        // That there was no reason to try the last one is no cause.
        let tried = self.all.iter().zip(&last).enumerate();
        let tried = tried.filter(|(at, (_, problem))| *at < self.regular || problem.is_some());
        let tried = tried.map(|(_, one)| one);
        let tried: Vec<_> = tried.collect();
        let problem = if let [(endpoint, problem)] = tried[..] {
            format!("{endpoint} is unhealthy: {limit}: {}", message(problem))
        } else {
            let tried = tried.iter();
            let tried: Vec<_> = tried
                .map(|(endpoint, problem)| format!("{endpoint}: {}", message(problem)))
                .collect();
            format!("the service is unhealthy: {limit}: {}", tried.join("; "))
        };
        Err(PolicyFailure(problem).into())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use http_client::Certificates;
    use serde_json::json;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::at_url(url.to_owned(), Certificates::Verified).unwrap()
    }

    fn unreachable() -> Result<Health, Problem> {
        Err(Problem::Unreachable("no response".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_addresses_the_one_that_this_machine_reaches_is_enough() {
        let endpoints = vec![endpoint("http://a/"), endpoint("http://b/")];
        let endpoints = Endpoints::new(endpoints, None);
        let query = async |at: usize| match at {
            0 => unreachable(),
            _ => Ok(Health::OfAny),
        };
        let (limit, log) = (Duration::from_secs(20), Log::sink());
        let healthy = endpoints.wait_by(query, None, limit, &log).await;
        assert_eq!(healthy.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_is_inside_the_cluster_is_asked_only_where_nothing_else_is_reached() {
        let all = || {
            Endpoints::new(
                vec![endpoint("http://a/")],
                Some(endpoint("http://inside/")),
            )
        };
        let log = Log::sink();
        let inside = async |at: usize| match at {
            0 => unreachable(),
            _ => Ok(Health::OfAny),
        };
        let limit = Duration::from_secs(20);
        assert_eq!(all().wait_by(inside, None, limit, &log).await.unwrap(), 1);

        let queried = RefCell::new(Vec::new());
        let sick = async |at: usize| {
            queried.borrow_mut().push(at);
            Err(Problem::Unhealthy("status 503".into()))
        };
        let none = all()
            .wait_by(sick, None, Duration::from_millis(1), &log)
            .await;
        assert_eq!(
            none.unwrap_err().to_string(),
            "http://a/ is unhealthy: timed out after 0s (`health-timeout`): status 503"
        );
        assert!(queried.borrow().iter().all(|at| *at == 0));
    }

    #[test]
    fn an_application_without_replicas_does_not_serve() {
        let workload = |image: &str, replicas: u32| {
            let spec = json!({"replicas": replicas, "template": {"spec": {"containers": [{"image": image}]}}});
            let value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec});
            Object::of_test(value, None)
        };
        let names = ImageNames::of_test("app");
        let idle = |objects: &[Object]| without_replicas(objects, &names).is_some();
        assert!(idle(&[workload("app:1", 0), workload("redis:8", 1)]));
        assert!(!idle(&[workload("app:1", 0), workload("app:1", 2)]));
        assert!(!idle(&[workload("redis:8", 0)]));
        assert!(!idle(&[]));
    }
}
