//! The dry run: the API server checks every object, and nothing changes.

use actions_toolkit::BadInput;
use anyhow::anyhow;
use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::kubernetes::{Cluster, Object, Rejected};

/// Have the API server check `objects`. An object that it would reject stops the deployment before its first change.
///
/// # Errors
/// With every rejection; [`BadInput`] when the objects themselves are invalid.
pub(crate) async fn check(cluster: &Cluster, objects: &[Object]) -> anyhow::Result<()> {
    let namespaces = objects.iter().filter(|object| object.is_namespace());
    let live = namespaces.map(async |object| anyhow::Ok((object, cluster.get(object).await?)));
    let live = try_join_all(live).await?.into_iter();
    let absent: Vec<_> = live
        .filter(|(_, live)| live.is_none())
        .map(|(object, _)| object)
        .collect();
    dry_run(cluster, objects, &absent).await.map(drop)
}

/// Each object as it would be. Those in one of the namespaces `absent` cannot be checked yet: `None`.
///
/// # Errors
/// As [`check`].
pub(crate) async fn dry_run(
    cluster: &Cluster,
    objects: &[Object],
    absent: &[&Object],
) -> anyhow::Result<Vec<Option<Value>>> {
    let responses = objects.iter().map(async |object| {
        let namespace = object.namespace();
        if absent.iter().any(|absent| Some(absent.name()) == namespace) {
            return Ok(None);
        }
        cluster.apply(object, true).await.map(Some)
    });
    let mut results = Vec::new();
    let mut rejections = Vec::new();
    for response in join_all(responses).await {
        match response {
            Ok(result) => results.push(result),
            Err(e) if e.downcast_ref::<Rejected>().is_some() => rejections.push(e),
            Err(e) => return Err(e),
        }
    }
    if rejections.is_empty() {
        return Ok(results);
    }
    let is_invalid = |e: &anyhow::Error| {
        e.downcast_ref::<Rejected>()
            .is_some_and(Rejected::is_invalid_object)
    };
    let is_bad_input = rejections.iter().any(is_invalid);
    let messages: Vec<_> = rejections.iter().map(|e| format!("{e:#}")).collect();
    let problem = format!(
        "the API server would reject the objects, so nothing was changed: {}",
        messages.join("; ")
    );
    Err(if is_bad_input {
        BadInput::new("manifests", problem).into()
    } else {
        anyhow!(problem)
    })
}
