//! Another deployment at the same time. The one that applied last owns the workload; an older one stops without rolling
//! back, which would remove the other's version.

use std::time::Duration;

use futures_util::future::join_all;

use crate::kubernetes::{Cluster, Object, Workload, containers};

/// Before a rollback there is this long to find out which deployment owns the workload: a cancelled run has seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Another deployment owns a workload now.
#[derive(Debug, thiserror::Error)]
#[error("{0}; another deployment has taken over, so this one stops without rolling back")]
pub(crate) struct Superseded(String);

impl Superseded {
    /// Of an object that this deployment made, and that is gone.
    pub(crate) fn removed(object: &Object) -> Self {
        Self(format!("{} was removed", object.label()))
    }
}

/// Whether `live` has another image than it was `applied` with.
pub(crate) fn superseded(applied: &Object, live: &Workload) -> Option<Superseded> {
    let expected = containers(&applied.value);
    let (name, image) = live.containers().find_map(|container| {
        let (name, image) = (&container.name, container.image.as_ref()?);
        let expected = expected
            .iter()
            .find(|expected| expected["name"] == **name)?;
        (expected["image"] != **image).then_some((name, image))
    })?;
    Some(Superseded(format!(
        "container `{name}` of {} was changed to `{image}`{}",
        applied.label(),
        by(live)
    )))
}

/// The same for any of the workloads among `applied`, if the API server responds in time.
pub(crate) async fn find_superseded(cluster: &Cluster, applied: &[Object]) -> Option<Superseded> {
    let workloads: Vec<_> = applied.iter().filter(|o| o.is_awaited()).collect();
    let live = join_all(workloads.iter().map(|object| cluster.workload(object)));
    let live = tokio::time::timeout(TIMEOUT, live).await.ok()?;
    let mut pairs = workloads.iter().zip(live);
    pairs.find_map(|(object, live)| superseded(object, &live.ok()??))
}

// The manager that changed it last (kubernetes.io/docs/reference/using-api/server-side-apply, `managedFields`).
fn by(live: &Workload) -> String {
    let entries = live.metadata().managed_fields.iter().flatten();
    let last = entries
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| Some((&entry.time.as_ref()?.0, entry.manager.as_ref()?)))
        .max_by_key(|(time, _)| *time);
    last.map_or(String::new(), |(time, manager)| {
        format!(" by `{manager}` at {time}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(applied: &Object, image: &str) -> Workload {
        let live = json!({
            "kind": "Deployment", "metadata": {"name": "app", "managedFields": [
                {"manager": "seaworthy", "time": "2026-01-01T00:00:07Z"},
                {"manager": "first", "time": "2026-01-01T00:00:01Z"},
                {"manager": "controller", "time": "2026-01-01T00:00:09Z", "subresource": "status"},
            ]},
            "spec": {"replicas": 5, "template": {"spec": {"containers": [
                {"name": "injected", "image": "proxy:1"}, {"name": "app", "image": image},
            ]}}},
        });
        Workload::read(applied, live).unwrap()
    }

    #[test]
    fn another_image_is_another_deployment_and_another_count_of_replicas_is_not() {
        let applied = Object::of_test(
            json!({"kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}}}),
            None,
        );
        assert!(superseded(&applied, &workload(&applied, "app:1")).is_none());
        assert_eq!(
            superseded(&applied, &workload(&applied, "app:2"))
                .unwrap()
                .to_string(),
            "container `app` of Deployment/app was changed to `app:2` by `seaworthy` at 2026-01-01T00:00:07Z; another deployment has taken over, so this one stops without rolling back"
        );
    }
}
