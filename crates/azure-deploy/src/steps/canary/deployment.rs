//! The Deployment that runs the new version next to the old one.

use serde_json::Value;

use crate::kubernetes::{Object, containers, set};
use crate::manifests::ImageNames;

/// The label of a canary, and of its pods.
pub(super) const LABEL: &str = "seaworthy/canary";
/// The end of its name.
const SUFFIX: &str = "-canary";
/// The label of the members of a set (kubernetes/enhancements, KEP-3659): a canary is removed in any case.
const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// The Deployments among `objects` that run an image of `names`.
pub(crate) fn deployments<'a>(
    objects: &'a [Object],
    names: &ImageNames,
) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(|object| {
        let containers = containers(&object.value);
        let mut images = containers.iter().filter_map(|c| c["image"].as_str());
        object.is_of("apps", "Deployment") && images.any(|image| names.is_of(image))
    })
}

/// The canary of `deployment` with so many pods. They have its labels, so that they serve behind the same Services, and one more
/// by which its own controller knows them.
pub(crate) fn of(deployment: &Object, pods: i32) -> Object {
    let mut value = deployment.value.clone();
    let name = format!("{}{SUFFIX}", deployment.name());
    set(&mut value, &["metadata", "name"], name.into());
    for path in [
        &["metadata", "labels"][..],
        &["spec", "selector", "matchLabels"],
        &["spec", "template", "metadata", "labels"],
    ] {
        set(&mut value, &[path, &[LABEL]].concat(), "true".into());
    }
    set(&mut value, &["spec", "replicas"], pods.into());
    if let Some(labels) = value["metadata"]["labels"].as_object_mut() {
        labels.remove(PART_OF);
    }
    deployment.with(value)
}

/// Whether `live` is a canary that this action made of one of `objects`, or of a Deployment that runs an image of `names` and is
/// not among those that `exist`: another deployment may be observing the canary of one that does.
pub(crate) fn is_left_over(
    live: &Value,
    objects: &[Object],
    exist: &[(Object, Value)],
    names: &ImageNames,
) -> bool {
    let metadata = &live["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let Some(of) = name.strip_suffix(SUFFIX) else {
        return false;
    };
    let is_it = |object: &Object| object.is_of("apps", "Deployment") && object.name() == of;
    let containers = containers(live);
    let mut images = containers.iter().filter_map(|c| c["image"].as_str());
    let is_of_others = exist.iter().any(|(object, _)| is_it(object));
    metadata["labels"][LABEL] == "true"
        && (objects.iter().any(is_it) || !is_of_others && images.any(|image| names.is_of(image)))
}

/// The pods that make at least `share` percent of all, next to `stable` ones of the old version.
pub(super) fn pods(share: u32, stable: i32) -> i32 {
    let (share, stable) = (i64::from(share), i64::from(stable.max(0)));
    let pods = (share * stable + 99 - share) / (100 - share);
    i32::try_from(pods.max(1)).unwrap_or(i32::MAX)
}

/// What share that is, in percent.
pub(super) fn percent(pods: i32, stable: i32) -> i64 {
    let all = (i64::from(pods) + i64::from(stable)).max(1);
    (i64::from(pods) * 100 + all / 2) / all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_rounded_up_to_whole_pods() {
        let table = [
            (10, 2, 1, 33),
            (10, 9, 1, 10),
            (10, 10, 2, 17),
            (50, 2, 2, 50),
            (50, 3, 3, 50),
            (1, 1, 1, 50),
            (99, 1, 99, 99),
            (25, 0, 1, 100),
        ];
        for (share, stable, expected, real) in table {
            let pods = pods(share, stable);
            assert_eq!(pods, expected, "{share}% of {stable}");
            assert_eq!(percent(pods, stable), real, "{share}% of {stable}");
        }
    }

    fn deployment() -> Object {
        let value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", PART_OF: "applyset-1-v1"}},
            "spec": {
                "replicas": 9,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "app:2"}]}},
            },
        });
        Object::of_test(value, None)
    }

    #[test]
    fn a_canary_serves_with_the_labels_of_its_deployment_and_has_its_own_pods() {
        let canary = of(&deployment(), 3);
        assert_eq!(canary.label(), "Deployment/web-canary");
        let value = &canary.value;
        assert_eq!(
            value["metadata"]["labels"],
            json!({"app": "web", LABEL: "true"})
        );
        assert_eq!(value["spec"]["replicas"], 3);
        let labels = json!({"app": "web", LABEL: "true"});
        assert_eq!(value["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(value["spec"]["template"]["metadata"]["labels"], labels);
    }

    #[test]
    fn what_a_killed_run_has_left_is_known() {
        let names = ImageNames::of_test("app");
        let canary = of(&deployment(), 1).value;
        let mut renamed = canary.clone();
        renamed["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1".into();
        let mut foreign = canary.clone();
        foreign["metadata"]["labels"] = json!({});
        let is_left_over = |live: &Value, objects: &[Object], exist: &[(Object, Value)]| {
            is_left_over(live, objects, exist, &names)
        };
        assert!(is_left_over(&canary, &[], &[]));
        assert!(is_left_over(&renamed, &[deployment()], &[]));
        assert!(!is_left_over(&renamed, &[], &[]));
        assert!(!is_left_over(&foreign, &[deployment()], &[]));
        assert!(!is_left_over(&deployment().value, &[deployment()], &[]));
        // Of a Deployment that another set of manifests has.
        let others = [(deployment(), deployment().value)];
        assert!(!is_left_over(&canary, &[], &others));
    }
}
