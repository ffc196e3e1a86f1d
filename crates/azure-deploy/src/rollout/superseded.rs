//! Another deployment at the same time. The one that applied last owns the workload; an older one stops without rolling
//! back, which would remove the other's version.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::kubernetes::{Cluster, Object, containers, text};

/// Before a rollback there is this long to find out which deployment owns the workload: a cancelled run has seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Another deployment owns a workload now.
#[derive(Debug, thiserror::Error)]
#[error("{0}; another deployment has taken over, so this one stops without rolling back")]
pub(crate) struct Superseded(String);

/// Whether `live` has another image than it was `applied` with.
pub(crate) fn superseded(applied: &Object, live: &Value) -> Option<Superseded> {
    let ours = containers(&applied.value);
    let (name, image) = containers(live).into_iter().find_map(|container| {
        let ours = ours.iter().find(|ours| ours["name"] == container["name"])?;
        let (name, image) = (container["name"].as_str()?, container["image"].as_str()?);
        (ours["image"] != *image).then_some((name, image))
    })?;
    Some(Superseded(format!(
        "container `{name}` of {} was changed to `{image}`{}",
        applied.label(),
        by(live)
    )))
}

/// The same for any of the workloads among `applied`, if the API server responds in time.
pub(crate) async fn find_superseded(cluster: &Cluster, applied: &[Object]) -> Option<Superseded> {
    let workloads: Vec<_> = applied.iter().filter(|o| o.is_workload()).collect();
    let live = join_all(workloads.iter().map(|object| cluster.get(object)));
    let live = tokio::time::timeout(TIMEOUT, live).await.ok()?;
    let mut pairs = workloads.iter().zip(live);
    pairs.find_map(|(object, live)| superseded(object, &live.ok()??))
}

// The manager that changed it last (kubernetes.io/docs/reference/using-api/server-side-apply, `managedFields`).
fn by(live: &Value) -> String {
    let entries = live.pointer("/metadata/managedFields");
    let entries = entries.and_then(Value::as_array).into_iter().flatten();
    let last = entries
        .filter(|entry| entry.get("subresource").is_none())
        .max_by_key(|entry| text(entry, "/time"));
    last.map_or(String::new(), |entry| {
        let (manager, time) = (text(entry, "/manager"), text(entry, "/time"));
        format!(" by `{manager}` at {time}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(image: &str) -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "app", "managedFields": [
                {"manager": "seaworthy", "time": "2026-01-01T00:00:07Z"},
                {"manager": "first", "time": "2026-01-01T00:00:01Z"},
                {"manager": "controller", "time": "2026-01-01T00:00:09Z", "subresource": "status"},
            ]},
            "spec": {"replicas": 5, "template": {"spec": {"containers": [
                {"name": "injected", "image": "proxy:1"}, {"name": "app", "image": image},
            ]}}},
        })
    }

    #[test]
    fn another_image_is_another_deployment_and_another_count_of_replicas_is_not() {
        let applied = Object {
            file: String::new(),
            value: json!({"kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}}}),
            default_namespace: None,
        };
        assert!(superseded(&applied, &workload("app:1")).is_none());
        assert_eq!(
            superseded(&applied, &workload("app:2"))
                .unwrap()
                .to_string(),
            "container `app` of Deployment/app was changed to `app:2` by `seaworthy` at 2026-01-01T00:00:07Z; another deployment has taken over, so this one stops without rolling back"
        );
    }
}
