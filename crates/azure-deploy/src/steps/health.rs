//! The health of the new version: what exposes the application, its address, and the responses of the application there.

mod address;
mod endpoint;
mod endpoints;
mod exposed;
mod exposure;
mod gateway;
mod ingress;
mod progress;
mod response;
mod site;
mod target;

use actions_toolkit::{Context, Log};

use crate::kubernetes::{Cluster, Object, Rejected, containers};
use crate::manifests::ImageNames;
use crate::report::Report;
use crate::request::Request;

pub(crate) use address::Address;
use endpoint::Endpoint;
use endpoints::{Endpoints, NotAllowed};
pub(crate) use exposed::Exposed;
pub(crate) use exposure::check_port;
use exposure::{Exposure, Services, behind_url};
use target::Target;

/// What a health check that did not fail is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The application responds, or its pods are ready and that is all that was requested.
    Healthy,
    /// The application has no replicas: nothing responds.
    NothingServes,
}

/// Where the application was healthy.
enum Reached {
    At(Endpoints, usize),
    /// Nothing was queried.
    Nowhere(Checked),
}

/// One place where the application is healthy, to query again.
pub(crate) struct Probe(Endpoint);

impl Probe {
    /// Why the application is not healthy there, with the place; `None` if it is. Any version may respond.
    pub(crate) async fn problem(&self, cluster: &Cluster) -> Option<String> {
        let problem = self.0.query(cluster, None).await.err()?;
        Some(format!("{}: {}", self.0, problem.message()))
    }
}

/// As [`check`] for any version; the place that was healthy, if one was queried.
///
/// # Errors
/// As [`check`].
pub(crate) async fn probe(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
    objects: &[Object],
) -> anyhow::Result<Option<Probe>> {
    let reached = reach(ctx, request, cluster, report, objects, None).await?;
    Ok(match reached {
        Reached::At(endpoints, at) => Some(Probe(endpoints.into_one(at))),
        Reached::Nowhere(_) => None,
    })
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
    let reached = reach(ctx, request, cluster, report, objects, commit).await?;
    Ok(match reached {
        Reached::At(..) => Checked::Healthy,
        Reached::Nowhere(checked) => checked,
    })
}

async fn reach(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
    objects: &[Object],
    commit: Option<&str>,
) -> anyhow::Result<Reached> {
    let nowhere = |checked| Ok(Reached::Nowhere(checked));
    let log = ctx.log();
    report.exposed = None;
    if let Some(idle) = without_replicas(objects, &request.names) {
        if !report.rolled_back {
            log.warning(format!(
                "{} has no replicas (`replicas: 0`): nothing serves, so the health check is skipped",
                idle.label()
            ));
        }
        return nowhere(Checked::NothingServes);
    }
    let timeout = request.timeouts.health;
    if let Some(url) = &request.health_url {
        report.address = Some(Address {
            host: url.host_str().unwrap_or_default().to_owned(),
            url: url.origin().ascii_serialization(),
        });
        let url = Endpoint::at_url(url.as_str().to_owned(), request.health_certificates)?;
        let endpoints = Endpoints::new(vec![url], None);
        let at = endpoints.wait(cluster, commit, timeout, log).await?;
        if request.records.is_some() {
            let host = report.address.as_ref().map(|address| &*address.host);
            let own: Vec<_> = own(objects, &request.names).collect();
            let is_public = Exposed::is_public(host, &[]).await;
            report.exposed = is_public.map(|is_public| Exposed {
                is_public,
                workloads: behind_url(objects, &own, is_public),
            });
        }
        return Ok(Reached::At(endpoints, at));
    }
    let port = request.health_port.as_ref();
    let services = Services::find(objects, &request.names, port);
    let Some(exposure) = Exposure::find(objects, &services) else {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning(format!("the manifests have no Service of type LoadBalancer, no Ingress and no HTTPRoute for the application{}, so the health check is skipped; set `health-url` to where the application responds, or `health-path: none` if that is intended", services.unreachable()));
        }
        return nowhere(Checked::Healthy);
    };
    let label = exposure.object().label();
    report.exposed_by = Some(label.clone());
    let target = Target::find(log, request, cluster, exposure, &services).await;
    let target = match target {
        Ok(target) => target,
        // That is known before the version has served at all: it says nothing of its health.
        Err(e) if is_forbidden(&e) => {
            skip(log, &e);
            return nowhere(Checked::Healthy);
        }
        Err(e) => return Err(e),
    };
    let Some(first) = target.addresses.first() else {
        return nowhere(Checked::Healthy);
    };
    report.address = Some(first.clone());
    let hosts = target.addresses.iter().map(|address| address.host.as_str());
    let hosts: Vec<_> = hosts.collect();
    log.info(format!("{label} has the address {}", hosts.join(" and ")));
    if target.endpoints.is_empty() {
        if request.health_path.is_some() && !report.rolled_back {
            log.warning(format!(
                "no port of {label} speaks HTTP, so the health check is skipped; set `health-port` if one does, or `health-url` to where the application responds"
            ));
        }
        return nowhere(Checked::Healthy);
    }
    let queried: Vec<_> = target.endpoints.iter().map(ToString::to_string).collect();
    log.info(format!(
        "the health is checked by {label}: {}",
        queried.join(" or ")
    ));
    if !report.rolled_back {
        log_unqueried(log, exposure, objects, &services);
    }
    // An endpoint inside the cluster comes before those at the addresses.
    let before = queried.len().saturating_sub(target.addresses.len());
    let endpoints = Endpoints::new(target.endpoints, target.inside);
    let healthy = match endpoints.wait(cluster, commit, timeout, log).await {
        Err(e) if e.is::<NotAllowed>() => {
            skip(log, &e);
            return nowhere(Checked::Healthy);
        }
        healthy => healthy?,
    };
    let at = healthy.checked_sub(before);
    let address = at.and_then(|at| target.addresses.get(at));
    if request.records.is_some() {
        let host = address.map(|address| &*address.host);
        report.exposed = exposed(host, &hosts, exposure, objects).await;
    }
    if let Some(address) = address {
        report.address = Some(address.clone());
    }
    Ok(Reached::At(endpoints, healthy))
}

// What was reached at `host`, or only inside the cluster, of an `exposure` with these addresses.
async fn exposed(
    host: Option<&str>,
    addresses: &[&str],
    exposure: Exposure<'_>,
    objects: &[Object],
) -> Option<Exposed> {
    let is_public = Exposed::is_public(host, addresses).await?;
    let workloads = if is_public {
        exposure.workloads(objects)
    } else {
        exposure.only_workloads(objects)
    };
    Some(Exposed {
        is_public,
        workloads,
    })
}

// What the health check by `exposure` says nothing of.
fn log_unqueried(log: &Log, exposure: Exposure<'_>, objects: &[Object], services: &Services<'_>) {
    let unqueried = exposure.unqueried(objects, services);
    if !unqueried.is_empty() {
        log.info(format!(
            "not queried, and known by the rollout only: {}",
            unqueried.join(", ")
        ));
    }
    if exposure.lacks_selector() {
        log.warning(format!(
            "{} has no selector: what responds there may be something else than the new version",
            exposure.object().label()
        ));
    }
}

fn skip(log: &Log, error: &anyhow::Error) {
    log.warning(format!(
        "the health check is skipped: {error:#}; or set `health-url` to where the application responds"
    ));
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    let rejected = error.downcast_ref::<Rejected>();
    rejected.is_some_and(|rejected| rejected.code == 403)
}

// The first workload of `names`, if none of these workloads has a replica.
fn without_replicas<'a>(objects: &'a [Object], names: &ImageNames) -> Option<&'a Object> {
    let mut own = own(objects, names).peekable();
    let first = own.peek().copied()?;
    own.all(|workload| workload.value["spec"]["replicas"] == 0)
        .then_some(first)
}

// The workloads of `names`.
fn own<'a>(objects: &'a [Object], names: &ImageNames) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(move |object| {
        let containers = containers(&object.value);
        let mut images = containers.iter().filter_map(|c| c["image"].as_str());
        object.is_workload() && !object.is_job() && images.any(|image| names.is_of(image))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
