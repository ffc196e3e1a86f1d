//! The records on GitHub of what runs where: one for each container with an image of the deployment.
//!
//! They are those that github/deployment-tracker, a controller in the cluster, writes of its pods: the same names, and the record
//! of a container names its newest image. What is removed is decommissioned. A Job ends, and has no record.

use std::collections::BTreeMap;

use actions_toolkit::Context;
use github::{DeploymentPlace, DeploymentRecord, RecordStatus, Recorder, RuntimeRisk};
use oci::ImageRef;
use serde_json::Value;
use tokio::time::sleep;

use super::health::Exposed;
use crate::STOPPED;
use crate::kubernetes::{Object, Snapshot, containers};
use crate::manifests::ImageNames;
use crate::report::Report;
use crate::request::Request;

/// The kinds whose pods run until they are replaced.
const WORKLOADS: [(&str, &str); 4] = [
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "CronJob"),
];
/// Characters of the name of a cluster.
const CLUSTER: usize = 128;

/// What ran before a deployment, and what it deploys.
pub(crate) struct Change {
    before: Running,
    after: Running,
}

/// The containers, by the names of their records.
type Running = BTreeMap<String, Container>;

/// A container with an image of the deployment.
struct Container {
    /// As [`identity`] has it.
    workload: String,
    /// Without tag and digest.
    image: String,
    digest: String,
}

impl Change {
    /// What the deployment of `report` changes; before a rollback, which takes the snapshot.
    pub(crate) fn of(request: &Request, report: &Report) -> Self {
        let more = request.also_deploy.iter().map(|(_, names)| names);
        let names: Vec<_> = std::iter::once(&request.names).chain(more).collect();
        let states = report.snapshot.iter().flat_map(Snapshot::objects);
        let before = states.filter_map(|(object, live)| Some((object, live.as_ref()?)));
        let after = report.applied.iter().map(|object| (object, &object.value));
        Self {
            before: running(&names, before),
            after: running(&names, after),
        }
    }

    /// The records of what runs after the deployment, or after its rollback, and of what no longer does.
    fn records(&self, is_rolled_back: bool, exposed: Option<&Exposed>) -> Vec<DeploymentRecord> {
        let (now, other) = if is_rolled_back {
            (&self.before, &self.after)
        } else {
            (&self.after, &self.before)
        };
        let deployed = now.iter().map(|(name, container)| DeploymentRecord {
            runtime_risks: container.risks(exposed),
            ..container.record(name, RecordStatus::Deployed)
        });
        let removed = other.iter().filter(|(name, _)| !now.contains_key(*name));
        let removed =
            removed.map(|(name, container)| container.record(name, RecordStatus::Decommissioned));
        deployed.chain(removed).collect()
    }
}

impl Container {
    fn record(&self, name: &str, status: RecordStatus) -> DeploymentRecord {
        DeploymentRecord {
            name: self.image.clone(),
            digest: self.digest.clone(),
            status,
            deployment_name: name.to_owned(),
            runtime_risks: None,
        }
    }

    // Unknown, unless the health check has reached it.
    fn risks(&self, exposed: Option<&Exposed>) -> Option<Vec<RuntimeRisk>> {
        let exposed = exposed?;
        let mut workloads = exposed.workloads.iter();
        if !workloads.any(|workload| identity(workload) == self.workload) {
            return None;
        }
        Some(if exposed.is_public {
            vec![RuntimeRisk::InternetExposed]
        } else {
            Vec::new()
        })
    }
}

/// Write the records of a deployment that is healthy, or was rolled back, if they are requested. What runs after any other
/// failure is unknown.
///
/// What goes wrong is logged, and changes no verdict.
pub(crate) async fn write(
    ctx: &Context,
    request: &Request,
    change: &Change,
    report: &Report,
    is_healthy: bool,
) {
    let Some((stage, token)) = &request.records else {
        return;
    };
    if !is_healthy && !report.rolled_back {
        return;
    }
    let log = ctx.log();
    let Some(cluster) = request.target.cluster.name() else {
        log.notice(
            "the deployment is not recorded on GitHub: the kubeconfig has no current context",
        );
        return;
    };
    let Some(recorder) = Recorder::new(ctx, token) else {
        return;
    };
    let place = DeploymentPlace {
        logical_environment: stage.logical.clone(),
        physical_environment: stage.physical.clone(),
        cluster: in_path(&cluster),
    };
    let records = change.records(report.rolled_back, report.exposed.as_ref());
    let stopped = async {
        ctx.cancelled().await;
        sleep(STOPPED).await;
    };
    tokio::select! {
        () = recorder.deploy(&place, &records) => {}
        () = stopped => log.notice("the deployment is not recorded on GitHub: the run was stopped"),
    }
}

// The containers of `names` in the workloads that have a state.
fn running<'a>(
    names: &[&ImageNames],
    states: impl Iterator<Item = (&'a Object, &'a Value)>,
) -> Running {
    let is_running = |(object, state): &(&Object, &Value)| {
        WORKLOADS.contains(&(object.group(), object.kind()))
            && state["spec"]["replicas"] != 0
            && state["spec"]["suspend"] != true
    };
    let mut running = Running::new();
    for (object, state) in states.filter(is_running) {
        let namespace = object.namespace_or_default();
        for container in containers(state) {
            let image = container["image"].as_str().unwrap_or_default();
            let is_own = names.iter().any(|names| names.is_of(image));
            // Without a digest, what ran is unknown.
            if let (true, Ok(image)) = (is_own, image.parse::<ImageRef>())
                && let Some(digest) = image.digest()
            {
                let name = container["name"].as_str().unwrap_or_default();
                let container = Container {
                    workload: identity(object),
                    image: image.without_version(),
                    digest: digest.to_string(),
                };
                running.insert(format!("{namespace}/{}/{name}", object.name()), container);
            }
        }
    }
    running
}

fn identity(object: &Object) -> String {
    let namespace = object.namespace_or_default();
    format!("{namespace}/{}", object.label())
}

// The name of a cluster as the API takes it in a path: letters, digits, `.`, `_` and `-`. That of a kubeconfig may have others.
fn in_path(cluster: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let allowed = cluster.chars().map(|c| if is_allowed(c) { c } else { '-' });
    allowed.take(CLUSTER).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", String::from(digit).repeat(64))
    }

    fn image(digit: char) -> String {
        format!("seaworthy.azurecr.io/app@{}", digest(digit))
    }

    fn workload(kind: &str, name: &str, containers: &Value) -> Object {
        let template = json!({"spec": {"containers": containers}});
        let version = match kind {
            "CronJob" | "Job" => "batch/v1",
            _ => "apps/v1",
        };
        let value = json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": {"template": template},
        });
        Object::of_test(value, Some("shop"))
    }

    fn change(before: &[Object], after: &[Object]) -> Change {
        let names = ImageNames::of_test("app");
        let of = |objects: &[Object]| {
            let states = objects.iter().map(|object| (object, &object.value));
            running(&[&names], states)
        };
        Change {
            before: of(before),
            after: of(after),
        }
    }

    // `status name digit risks` of each record.
    fn shown(records: &[DeploymentRecord]) -> Vec<String> {
        let shown = |record: &DeploymentRecord| {
            assert_eq!(record.name, "seaworthy.azurecr.io/app");
            let risks = match record.runtime_risks.as_deref() {
                Some([RuntimeRisk::InternetExposed]) => " exposed",
                Some(_) => " internal",
                None => "",
            };
            let (status, name) = (record.status, &record.deployment_name);
            format!("{status:?} {name} {}{risks}", &record.digest[7..8])
        };
        records.iter().map(shown).collect()
    }

    #[test]
    fn a_container_has_one_record_and_what_is_removed_is_decommissioned() {
        let app = |digit: char| json!([{"name": "app", "image": image(digit)}]);
        let two = json!([
            {"name": "app", "image": image('a')}, {"name": "side", "image": image('a')},
            {"name": "cache", "image": "redis:8"},
        ]);
        let before = [
            workload("Deployment", "web", &two),
            workload("Deployment", "old", &app('a')),
            workload(
                "StatefulSet",
                "tagged",
                &json!([{"name": "app", "image": "app:1"}]),
            ),
        ];
        let after = [
            workload("Deployment", "web", &app('b')),
            workload("CronJob", "nightly", &app('b')),
            workload("Job", "migration", &app('b')),
        ];
        let change = change(&before, &after);
        assert_eq!(
            shown(&change.records(false, None)),
            [
                "Deployed shop/nightly/app b",
                "Deployed shop/web/app b",
                "Decommissioned shop/old/app a",
                "Decommissioned shop/web/side a",
            ]
        );
        // After a rollback, the previous image runs, and what is new does not.
        assert_eq!(
            shown(&change.records(true, None)),
            [
                "Deployed shop/old/app a",
                "Deployed shop/web/app a",
                "Deployed shop/web/side a",
                "Decommissioned shop/nightly/app b",
            ]
        );
    }

    #[test]
    fn a_risk_is_that_of_what_the_health_check_has_reached() {
        let app = json!([{"name": "app", "image": image('a')}]);
        let (web, worker) = (
            workload("Deployment", "web", &app),
            workload("Deployment", "worker", &app),
        );
        let change = change(&[], &[web.clone(), worker]);
        for (is_public, expected) in [(true, "exposed"), (false, "internal")] {
            let exposed = Exposed {
                is_public,
                workloads: vec![web.clone()],
            };
            assert_eq!(
                shown(&change.records(false, Some(&exposed))),
                [
                    format!("Deployed shop/web/app a {expected}"),
                    "Deployed shop/worker/app a".to_owned(),
                ]
            );
        }
    }

    #[test]
    fn an_application_without_replicas_or_suspended_does_not_run() {
        let mut idle = workload(
            "Deployment",
            "web",
            &json!([{"name": "app", "image": image('a')}]),
        );
        idle.value["spec"]["replicas"] = 0.into();
        let containers = json!([{"name": "app", "image": image('a')}]);
        let mut suspended = workload("CronJob", "nightly", &containers);
        suspended.value["spec"]["suspend"] = true.into();
        let change = change(&[], &[idle, suspended]);
        assert!(change.records(false, None).is_empty());
    }

    #[test]
    fn the_name_of_a_cluster_fits_in_a_path() {
        assert_eq!(in_path("sea_worthy-1.prod"), "sea_worthy-1.prod");
        assert_eq!(
            in_path("arn:aws:eks:eu-west-1:1:cluster/shop"),
            "arn-aws-eks-eu-west-1-1-cluster-shop"
        );
    }
}
