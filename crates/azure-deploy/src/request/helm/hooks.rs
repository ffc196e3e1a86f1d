//! Hooks of a chart: Jobs that run before or after the workloads (helm.sh/docs, "Chart hooks").

use actions_toolkit::Log;

use super::Chart;
use super::renderer::Hook;

/// Events of hooks that are part of a deployment: of the first one, and of any other.
const BEFORE: [&str; 2] = ["pre-install", "pre-upgrade"];
const AFTER: [&str; 2] = ["post-install", "post-upgrade"];

impl Chart {
    /// A hook, as an object of the deployment: Jobs run in their order, what they need is applied before them.
    ///
    /// # Errors
    /// For one that cannot be run.
    pub(super) fn hook(
        &self,
        log: &Log,
        chart: &str,
        hook: &Hook,
        is_upgrade: bool,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let now = usize::from(is_upgrade);
        let runs = |events: [&str; 2]| hook.events.iter().any(|event| event == events[now]);
        let (before, after) = (runs(BEFORE), runs(AFTER));
        let shown = self.shown(chart, &hook.file.path);
        let events = hook.events.join(", ");
        let mut texts = Vec::new();
        for mut object in self.objects(&hook.file)? {
            let label = object.label();
            if !before && !after {
                let line =
                    format!("{label} is a hook ({events}), and is not a part of this deployment");
                log.info(line);
                continue;
            }
            if before && after {
                let problem = format!(
                    "{label} in `{shown}` is a hook ({events}) that runs twice in one deployment, which is not supported; make it two Jobs"
                );
                return Err(self.bad(&problem));
            }
            if object.is_job() {
                object.run_job(before);
            } else if !object.is_applied_before_workloads() {
                let problem = format!(
                    "{label} in `{shown}` is a hook ({events}), and only a Job, and what it needs, can be one; make it a Job"
                );
                return Err(self.bad(&problem));
            }
            texts.push((shown.clone(), object.value.to_string()));
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use actions_toolkit::Workspace;

    use super::super::renderer::File;
    use super::*;
    use crate::action::Inputs;
    use crate::kubernetes::Object;

    fn chart() -> Chart {
        let workspace = Workspace::new(Path::new("/nonexistent"));
        Chart {
            path: workspace.path(Inputs::manifests, "deploy/shop").unwrap(),
            remote: None,
            release: None,
            namespace: "shop".to_owned(),
            values: Vec::new(),
            set: Vec::new(),
        }
    }

    fn hook(kind: &str, events: &[&str], is_upgrade: bool) -> Result<Vec<Object>, String> {
        let version = match kind {
            "Job" => "batch/v1",
            "Deployment" => "apps/v1",
            _ => "v1",
        };
        let hook = Hook {
            file: File {
                path: "shop/templates/x.yaml".into(),
                text: format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"),
            },
            events: events.iter().map(ToString::to_string).collect(),
        };
        let chart = chart();
        let texts = chart.hook(&Log::sink(), "shop", &hook, is_upgrade);
        let texts = texts.map_err(|e| format!("{e:#}"))?.into_iter();
        let objects = texts.map(|(path, text)| Object {
            file: path,
            document: None,
            value: serde_json::from_str(&text).unwrap(),
            default_namespace: None,
        });
        Ok(objects.collect())
    }

    #[test]
    fn hooks_run_before_or_after_the_workloads_of_their_operation() {
        // Events, whether it is an upgrade; whether it runs before the workloads.
        let table: [(&[&str], bool, Option<bool>); 8] = [
            (&["pre-install"], false, Some(true)),
            (&["pre-install"], true, None),
            (&["pre-install", "pre-upgrade"], true, Some(true)),
            (&["post-install"], false, Some(false)),
            (&["post-upgrade"], true, Some(false)),
            (&["pre-install", "post-upgrade"], true, Some(false)),
            (&["test"], false, None),
            (&["pre-rollback", "post-delete"], true, None),
        ];
        for (events, is_upgrade, expected) in table {
            let objects = hook("Job", events, is_upgrade).unwrap();
            let before = objects.first().map(Object::runs_before_workloads);
            assert_eq!(before, expected, "{events:?} {is_upgrade}");
            let after = objects.first().map(Object::runs_after_workloads);
            assert_eq!(after, expected.map(|before| !before));
            let files: Vec<_> = objects.iter().map(|object| &*object.file).collect();
            assert!(files.iter().all(|f| *f == "deploy/shop/templates/x.yaml"));
        }
        assert_eq!(hook("ConfigMap", &["pre-install"], false).unwrap().len(), 1);
        for kind in ["Pod", "Workflow", "Deployment"] {
            let error = hook(kind, &["pre-install"], false).unwrap_err();
            assert!(error.contains("make it a Job"), "{error}");
            assert!(hook(kind, &["test"], false).unwrap().is_empty());
        }
        let both = hook("Job", &["pre-install", "post-install"], false).unwrap_err();
        assert!(both.contains("runs twice"), "{both}");
    }
}
