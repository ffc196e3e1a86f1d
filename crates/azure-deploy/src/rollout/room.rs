//! Whether there will be room for a pod, on a node or in a quota, though there is none now: other pods end, or are replaced by the
//! rollout itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Node, Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, ListParams};
use tokio::join;

use super::status::{is_leaving, is_over};
use crate::kubernetes::Cluster;

/// How long a result counts: all pods of the cluster are read for it.
const FRESH: Duration = Duration::from_secs(5);
/// The most pods that are read. Of a larger cluster only those of the namespace count.
const PODS: u32 = 1000;
/// Pods that use resources.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// The resource that each pod uses one of.
const POD: &str = "pods";
/// How the message of a full quota starts (kubernetes/plugin/pkg/admission/resourcequota).
const QUOTA: &str = "exceeded quota: ";
/// The messages of the scheduler for a node that may have room once other pods are gone (kubernetes/pkg/scheduler/framework/plugins).
/// A selector, a taint or a zone of a volume is not among these.
const MAY_PASS: &[&str] = &[
    "Insufficient ",
    "Too many pods",
    "didn't have free ports",
    "didn't match pod anti-affinity rules",
    "didn't satisfy existing pods anti-affinity rules",
    "didn't match pod topology spread constraints",
];

/// Amounts of resources, in thousandths.
type Amounts = BTreeMap<String, f64>;

/// What the manifests' own rollouts do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replacing(
    /// Whether they remove old pods by themselves.
    pub(super) bool,
);

/// Remembers whether there will be room.
#[derive(Debug, Default)]
pub(super) struct Room(BTreeMap<String, (Instant, bool)>);

impl Room {
    /// Whether the node of another pod will have room for `pod`, of the workload `label`, which cannot be scheduled for the reason
    /// `message`.
    pub(super) async fn on_nodes(
        &mut self,
        cluster: &Cluster,
        label: &str,
        (pod, message): (&Pod, &str),
        replacing: Replacing,
    ) -> bool {
        if !MAY_PASS.iter().any(|reason| message.contains(reason)) {
            return false;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let key = format!("{namespace}/{label} on a node");
        self.remembered(key, Box::pin(cluster.has_room(pod, replacing)))
            .await
    }

    /// Whether a quota will have room for the next pod of the workload `label` in `namespace`, which cannot be created for the reason
    /// `message`.
    pub(super) async fn in_quota(
        &mut self,
        cluster: &Cluster,
        label: &str,
        (namespace, message): (&str, &str),
        replacing: Replacing,
    ) -> bool {
        let Some(demand) = Demand::parse(message) else {
            return false;
        };
        let key = format!("{namespace}/{label} in a quota");
        let has_room = cluster.quota_has_room(namespace, demand, replacing);
        self.remembered(key, Box::pin(has_room)).await
    }

    async fn remembered(&mut self, key: String, answer: impl Future<Output = bool>) -> bool {
        if let Some((since, known)) = self.0.get(&key)
            && since.elapsed() < FRESH
        {
            return *known;
        }
        let answer = answer.await;
        self.0.insert(key, (Instant::now(), answer));
        answer
    }
}

impl Cluster {
    async fn has_room(&self, pod: &Pod, replacing: Replacing) -> bool {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let pods: Api<Pod> = Api::all(self.client.clone());
        let all = ListParams::default();
        let running = ListParams::default().fields(RUNNING);
        let page = running.clone().limit(PODS);
        let (nodes, pods) = join!(
            self.response(nodes.list(&all)),
            self.response(pods.list(&page))
        );
        let is_whole = |token: Option<&str>| token.is_none_or(str::is_empty);
        let pods = pods.ok();
        let pods = pods.filter(|pods| is_whole(pods.metadata.continue_.as_deref()));
        match (nodes, pods) {
            (Ok(nodes), Some(pods)) => may_fit(pod, &nodes.items, &pods.items, replacing),
            // Which node a pod leaves, and what others keep there, is unknown.
            (nodes, _) => {
                let is_too_large = |nodes: &[Node]| !may_fit(pod, nodes, &[], Replacing(true));
                if nodes.is_ok_and(|nodes| is_too_large(&nodes.items)) {
                    return false;
                }
                let own = self.list::<Pod>(namespace, &running).await;
                replacing.0 || own.unwrap_or_default().iter().any(leaves_a_node)
            }
        }
    }

    async fn quota_has_room(&self, namespace: &str, demand: Demand, replacing: Replacing) -> bool {
        let (quotas, running) = (ListParams::default(), ListParams::default().fields(RUNNING));
        let (quotas, pods) = join!(
            self.list::<ResourceQuota>(namespace, &quotas),
            self.list::<Pod>(namespace, &running)
        );
        let is_named = |quota: &&ResourceQuota| quota.metadata.name.as_ref() == Some(&demand.quota);
        let named = match &quotas {
            Ok(live) => match live.iter().find(is_named) {
                // The controller has only to try again.
                None => return true,
                named => named,
            },
            Err(_) => None,
        };
        let demand = demand.now(named);
        let ends = pods.unwrap_or_default().iter().any(is_leaving);
        demand.fits() || (demand.may_fit() && (replacing.0 || ends))
    }
}

fn leaves_a_node(pod: &Pod) -> bool {
    node_of(pod).is_some() && is_leaving(pod)
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

// Whether a node has room for `pod` once other pods are gone. Which of them are removed by a rollout is not known of each.
fn may_fit(pod: &Pod, nodes: &[Node], pods: &[Pod], replacing: Replacing) -> bool {
    let needed = needed(pod);
    nodes.iter().any(|node| {
        let name = node.metadata.name.as_deref();
        let there = pods
            .iter()
            .filter(|pod| name.is_some() && node_of(pod) == name);
        let (leaving, staying): (Vec<_>, Vec<_>) = there
            .filter(|pod| !is_over(pod))
            .partition(|pod| is_leaving(pod));
        if !is_open_to(node, pod) || (leaving.is_empty() && !replacing.0) {
            return false;
        }
        let mut used = needed.clone();
        for pod in staying.into_iter().filter(|_| !replacing.0) {
            add(&mut used, self::needed(pod));
        }
        let allocatable = node.status.as_ref();
        let allocatable = allocatable.and_then(|status| status.allocatable.as_ref());
        let allocatable = allocatable.map(amounts).unwrap_or_default();
        needed.keys().all(|resource| {
            let has = allocatable.get(resource).copied().unwrap_or_default();
            used.get(resource).copied().unwrap_or_default() <= has
        })
    })
}

// Whether pods are scheduled to `node`, and its labels are those that `pod` selects.
fn is_open_to(node: &Node, pod: &Pod) -> bool {
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    let selector = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_selector.as_ref());
    let labels = node.metadata.labels.as_ref();
    let mut selector = selector.into_iter().flatten();
    !is_cordoned
        && selector.all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
}

// What a pod needs of its node. Containers that run before the others need it one by one, unless they go on running
// (kubernetes.io/docs/concepts/workloads/pods/sidecar-containers, "Resource sharing within containers").
fn needed(pod: &Pod) -> Amounts {
    let mut needed = Amounts::new();
    if let Some(spec) = &pod.spec {
        let before = spec.init_containers.as_deref().unwrap_or_default();
        let (sidecars, before): (Vec<_>, Vec<_>) = before
            .iter()
            .partition(|container| container.restart_policy.as_deref() == Some("Always"));
        for container in spec.containers.iter().chain(sidecars) {
            add(&mut needed, requests(container));
        }
        for container in before {
            for (resource, amount) in requests(container) {
                let needed = needed.entry(resource).or_default();
                *needed = needed.max(amount);
            }
        }
        add(
            &mut needed,
            spec.overhead.as_ref().map(amounts).unwrap_or_default(),
        );
    }
    needed.retain(|_, amount| *amount > 0.0);
    needed.insert(POD.to_owned(), 1000.0);
    needed
}

fn requests(container: &Container) -> Amounts {
    let resources = container.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.map(amounts).unwrap_or_default()
}

fn amounts(quantities: &BTreeMap<String, Quantity>) -> Amounts {
    let amounts = quantities.iter();
    let amounts =
        amounts.filter_map(|(name, quantity)| Some((name.clone(), thousandths(&quantity.0)?)));
    amounts.collect()
}

fn add(sum: &mut Amounts, amounts: Amounts) {
    for (resource, amount) in amounts {
        *sum.entry(resource).or_default() += amount;
    }
}

// A quantity in thousandths (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity); `None` if it is malformed.
fn thousandths(quantity: &str) -> Option<f64> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    let end = quantity.find(|c| !is_number(c)).unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    let factor = match suffix {
        "n" => 1e-6,
        "u" => 1e-3,
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "P" => 1e18,
        "E" => 1e21,
        "Ki" => 1e3 * 1024_f64,
        "Mi" => 1e3 * 1024_f64.powi(2),
        "Gi" => 1e3 * 1024_f64.powi(3),
        "Ti" => 1e3 * 1024_f64.powi(4),
        "Pi" => 1e3 * 1024_f64.powi(5),
        "Ei" => 1e3 * 1024_f64.powi(6),
        exponent => 1e3 * 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

// What a pod needs of a quota that is full.
#[derive(Debug, PartialEq)]
struct Demand {
    quota: String,
    requested: Amounts,
    used: Amounts,
    hard: Amounts,
}

impl Demand {
    // By the message of the quota's admission, `exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1`; `None` for
    // another cause.
    fn parse(message: &str) -> Option<Self> {
        let (_, message) = message.split_once(QUOTA)?;
        let mut parts = message.split(", ");
        let quota = parts.next()?.trim().to_owned();
        let mut demand = Self {
            quota,
            requested: Amounts::new(),
            used: Amounts::new(),
            hard: Amounts::new(),
        };
        for part in parts {
            let Some((what, amounts)) = part.split_once(": ") else {
                continue;
            };
            let amounts = amounts.split(',').filter_map(|amount| {
                let (resource, quantity) = amount.trim().split_once('=')?;
                Some((resource.to_owned(), thousandths(quantity)?))
            });
            let amounts = amounts.collect();
            match what {
                "requested" => demand.requested = amounts,
                "used" => demand.used = amounts,
                "limited" => demand.hard = amounts,
                _ => {}
            }
        }
        Some(demand)
    }

    // The same with the quota as it is now: it may have been raised, or less of it be used.
    fn now(mut self, quota: Option<&ResourceQuota>) -> Self {
        let Some(status) = quota.and_then(|quota| quota.status.as_ref()) else {
            return self;
        };
        self.used
            .extend(status.used.as_ref().map(amounts).unwrap_or_default());
        self.hard
            .extend(status.hard.as_ref().map(amounts).unwrap_or_default());
        self
    }

    // Whether there is room: the controller only has to try again.
    fn fits(&self) -> bool {
        !self.requested.is_empty() && self.fits_beside(&self.used)
    }

    // Whether there would be room if nothing else used the quota.
    fn may_fit(&self) -> bool {
        self.fits_beside(&Amounts::new())
    }

    fn fits_beside(&self, used: &Amounts) -> bool {
        self.requested.iter().all(|(resource, amount)| {
            let used = used.get(resource).copied().unwrap_or_default();
            let hard = self.hard.get(resource).copied();
            used + amount <= hard.unwrap_or(f64::INFINITY)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(cpu: &str, node: Option<&str>, more: &[(&str, Value)]) -> Pod {
        let container =
            json!({"name": "app", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}});
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}});
        pod["spec"]["nodeName"] = json!(node);
        for (pointer, value) in more {
            let (object, field) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(object).unwrap()[field] = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    fn node(name: &str, cpu: &str) -> Node {
        let allocatable = json!({"cpu": cpu, "memory": "1Gi", "pods": "110"});
        let node = json!({
            "metadata": {"name": name, "labels": {"pool": name}}, "status": {"allocatable": allocatable},
        });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_full_node_has_room_once_pods_are_gone_that_end() {
        let going = [("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))];
        let job = [("/spec/restartPolicy", json!("Never"))];
        let over = [
            ("/spec/restartPolicy", json!("Never")),
            ("/status", json!({"phase": "Succeeded"})),
        ];
        let stays = || pod("1500m", Some("a"), &[]);
        let ends = |cpu: &str| pod(cpu, Some("a"), &job);
        let nodes = [node("a", "2"), node("b", "100m")];
        for (cpu, others, expected) in [
            // Nothing there ends.
            ("1", vec![stays()], false),
            ("1", vec![], false),
            ("1", vec![pod("1500m", Some("a"), &going)], true),
            ("1", vec![ends("1500m")], true),
            ("1", vec![pod("1500m", Some("a"), &over)], false),
            // What stays leaves no room.
            ("1", vec![stays(), ends("500m")], false),
            ("500m", vec![stays(), ends("500m")], true),
            // It ends elsewhere.
            ("1", vec![pod("50m", Some("b"), &job)], false),
            // Larger than each node.
            ("50", vec![ends("1500m")], false),
        ] {
            let fits = may_fit(&pod(cpu, None, &[]), &nodes, &others, Replacing(false));
            assert_eq!(fits, expected, "{cpu} {others:?}");
        }
    }

    #[test]
    fn what_the_rollout_itself_removes_makes_room_on_nodes_that_are_large_enough() {
        let nodes = [node("a", "2")];
        let fits = |pod: &Pod, nodes: &[Node]| may_fit(pod, nodes, &[], Replacing(true));
        assert!(fits(&pod("2", None, &[]), &nodes));
        assert!(!fits(&pod("2100m", None, &[]), &nodes));
        let selects = |pool: &str| pod("1", None, &[("/spec/nodeSelector", json!({"pool": pool}))]);
        assert!(fits(&selects("a"), &nodes));
        assert!(!fits(&selects("b"), &nodes));
        let [mut cordoned] = nodes;
        cordoned.spec = Some(serde_json::from_value(json!({"unschedulable": true})).unwrap());
        assert!(!fits(&pod("1", None, &[]), &[cordoned]));
    }

    #[test]
    fn a_pod_needs_the_most_that_its_containers_need_at_a_time() {
        let container = |cpu: &str, policy: Value| json!({"name": "x", "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}});
        for (init, expected) in [
            (json!([container("300m", Value::Null)]), 500.0),
            (json!([container("800m", Value::Null)]), 800.0),
            (json!([container("300m", json!("Always"))]), 800.0),
        ] {
            let pod = pod("500m", None, &[("/spec/initContainers", init)]);
            assert_eq!(needed(&pod).get("cpu"), Some(&expected));
        }
    }

    #[test]
    fn quantities_have_suffixes() {
        for (text, expected) in [
            ("1", Some(1e3)),
            ("250m", Some(250.0)),
            ("0.5", Some(500.0)),
            ("1k", Some(1e6)),
            ("2Ki", Some(2048e3)),
            ("1Gi", Some(1_073_741_824e3)),
            ("1e3", Some(1e6)),
            ("2E", Some(2e21)),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_quota_has_room_if_less_of_it_is_used_or_it_was_raised() {
        let message = r#"pods "app-7d" is forbidden: exceeded quota: few, requested: pods=1,requests.cpu=500m, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=2"#;
        let demand = |status: Option<Value>| {
            let quota = status.map(|status| {
                let quota = json!({"metadata": {"name": "few"}, "status": status});
                serde_json::from_value::<ResourceQuota>(quota).unwrap()
            });
            let demand = Demand::parse(message).unwrap();
            assert_eq!(demand.quota, "few");
            let demand = demand.now(quota.as_ref());
            (demand.fits(), demand.may_fit())
        };
        let status =
            |hard: &str, used: &str| Some(json!({"hard": {"pods": hard}, "used": {"pods": used}}));
        for (status, expected) in [
            (None, (false, true)),
            (status("2", "2"), (false, true)),
            (status("2", "1"), (true, true)),
            (status("3", "2"), (true, true)),
            (status("0", "0"), (false, false)),
        ] {
            assert_eq!(demand(status.clone()), expected, "{status:?}");
        }
    }

    #[test]
    fn a_pod_that_is_larger_than_its_quota_never_fits() {
        let message = "exceeded quota: few, requested: requests.memory=2Gi, used: requests.memory=0, limited: requests.memory=1Gi";
        let demand = Demand::parse(message).unwrap();
        assert_eq!((demand.fits(), demand.may_fit()), (false, false));
        for other in [
            "failed quota: few: must specify limits.cpu for: app",
            "violates PodSecurity",
        ] {
            assert_eq!(Demand::parse(other), None);
        }
        // A message that is cut off says nothing of how much.
        let demand = Demand::parse("exceeded quota: few").unwrap();
        assert_eq!((demand.fits(), demand.may_fit()), (false, true));
    }
}
