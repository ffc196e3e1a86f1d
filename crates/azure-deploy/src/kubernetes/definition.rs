//! `CustomResourceDefinition`s: they come before the objects of their kinds, which the cluster knows only then.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::{Cluster, Object, poll_interval, text};

/// How long the API server may take to serve a kind: it takes a second or two, and some more with several API servers.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Object {
    /// Whether it defines kinds.
    pub(crate) fn is_definition(&self) -> bool {
        self.kind() == "CustomResourceDefinition"
            && self.api_version().starts_with("apiextensions.k8s.io/")
    }

    /// Whether it defines the kind of `object`, in its version.
    pub(crate) fn defines(&self, object: &Self) -> bool {
        let Some((group, version)) = object.api_version().split_once('/') else {
            return false;
        };
        let versions = self.value["spec"]["versions"].as_array();
        let mut versions = versions.into_iter().flatten();
        self.is_definition()
            && self.text("/spec/group") == group
            && self.text("/spec/names/kind") == object.kind()
            && versions.any(|v| v["name"] == *version && v["served"] != false)
    }
}

impl Cluster {
    /// Wait until the cluster knows the kinds of `objects`, which `definitions` define.
    ///
    /// # Errors
    /// When the API server rejects the names of a kind, or does not serve it in time.
    pub(crate) async fn wait_for_kinds(
        &self,
        definitions: &[Object],
        objects: &[Object],
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let all = [definitions, objects].concat();
        loop {
            self.discover_kinds(&all).await?;
            let mut missing = Vec::new();
            for definition in definitions {
                let live = self.get(definition).await?.unwrap_or_default();
                let kinds = || objects.iter().filter(|object| definition.defines(object));
                if let Some(problem) = rejected(&live) {
                    anyhow::bail!("{} is not established: {problem}", definition.label());
                }
                if kinds().next().is_some()
                    && (!is_established(&live) || !kinds().all(|o| self.knows(o)))
                {
                    missing.push(definition.label());
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < TIMEOUT,
                "timed out after {}s waiting for the cluster to serve the kinds of {}",
                TIMEOUT.as_secs(),
                missing.join(", ")
            );
            sleep(poll_interval::after(started.elapsed())).await;
        }
    }
}

fn condition<'a>(live: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = live["status"]["conditions"].as_array()?;
    conditions.iter().find(|c| c["type"] == name)
}

fn is_established(live: &Value) -> bool {
    condition(live, "Established").is_some_and(|c| c["status"] == "True")
}

// Why the API server does not serve it: another definition has the same names, for example.
fn rejected(live: &Value) -> Option<String> {
    ["NamesAccepted", "NonStructuralSchema"]
        .into_iter()
        .filter_map(|name| condition(live, name))
        .find(|c| match text(c, "/type") {
            "NamesAccepted" => c["status"] == "False" && c["reason"] != "NotAccepted",
            _ => c["status"] == "True",
        })
        .map(|c| text(c, "/message").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::of_test(value, None)
    }

    #[test]
    fn a_definition_defines_a_kind_in_its_served_versions() {
        let definition = object(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"group": "shop.example", "names": {"kind": "Offer"}, "versions": [
                {"name": "v1", "served": true}, {"name": "v1beta1", "served": false},
            ]},
        }));
        let table = [
            ("shop.example/v1", "Offer", true),
            ("shop.example/v1beta1", "Offer", false),
            ("shop.example/v2", "Offer", false),
            ("shop.example/v1", "Order", false),
            ("other.example/v1", "Offer", false),
            ("v1", "Offer", false),
        ];
        for (version, kind, expected) in table {
            let instance = object(json!({"apiVersion": version, "kind": kind}));
            assert_eq!(definition.defines(&instance), expected, "{version} {kind}");
        }
    }

    #[test]
    fn a_definition_is_established_or_rejected_by_its_conditions() {
        let live = |kind: &str, status: &str, reason: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "reason": reason, "message": "why"}]}});
        assert!(is_established(&live("Established", "True", "")));
        assert!(!is_established(&live("Established", "False", "")));
        assert!(!is_established(&json!({})));
        let conflict = rejected(&live("NamesAccepted", "False", "PluralConflict"));
        assert_eq!(conflict.as_deref(), Some("why"));
        assert_eq!(
            rejected(&live("NamesAccepted", "True", "NoConflicts")),
            None
        );
        assert_eq!(rejected(&Value::Null), None);
    }
}
