//! Helm charts, rendered by Helm's own packages (`tools/helm-template`).
//!
//! What holds: no program is run for a chart, nothing is fetched for it, and the renderer has no credential. The values are in a
//! private file, and in no argument. What templates look up in the cluster is read by this action, as the identity that deploys.

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Log, Workspace, WorkspacePath, text::plural};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rendered, manifest_paths, offline_tool};
use crate::action::Inputs;
use crate::kubernetes::{Cluster, Object};
use crate::manifests::parse;

const PROGRAM: &str = "helm-template";
/// Rendering reads files of the checkout, and nothing that takes long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a file of values.
const VALUES: usize = limits::MIB;
/// Files and directories of a chart, and the bytes of all files.
const FILES: usize = 10_000;
const SIZE: u64 = 64 * limits::MIB as u64;
/// What templates look up may depend on what they have looked up before.
const ROUNDS: usize = 10;
/// Events of hooks that are part of a deployment: of the first one, and of any other.
const BEFORE: [&str; 2] = ["pre-install", "pre-upgrade"];
const AFTER: [&str; 2] = ["post-install", "post-upgrade"];

/// A chart, and what it is rendered with.
pub(crate) struct Chart {
    path: WorkspacePath,
    release: Option<String>,
    namespace: String,
    values: Vec<File>,
    set: Vec<String>,
}

/// A file, or a template's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    path: String,
    text: String,
}

/// What the renderer reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    chart: &'a Path,
    release: &'a str,
    namespace: &'a str,
    upgrade: bool,
    kube_version: &'a str,
    api_versions: &'a [String],
    values: &'a [File],
    set: &'a [String],
    lookups: &'a [Lookup],
}

/// An object that a template looks up: a list without a name, all namespaces without a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lookup {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Value>,
}

/// What the renderer writes. Go writes an empty list as `null`.
#[derive(Debug, Deserialize)]
struct Response {
    name: String,
    version: String,
    release: String,
    templates: Option<Vec<File>>,
    hooks: Option<Vec<Hook>>,
    crds: Option<Vec<File>>,
    missing: Option<Vec<Lookup>>,
    random: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Hook {
    #[serde(flatten)]
    file: File,
    events: Vec<String>,
}

/// The chart among `paths`, if there is one.
///
/// # Errors
/// [`BadInput`] for more than one, for files that cannot be read, and for inputs that nothing uses.
pub(super) fn find(
    workspace: &Workspace,
    inputs: &Inputs,
    paths: &[WorkspacePath],
    namespace: &str,
) -> Result<Option<Chart>, BadInput> {
    let mut charts = paths.iter().filter(|path| manifest_paths::is_chart(path));
    let Some(path) = charts.next() else {
        let inputs = [
            (Inputs::release, inputs.release.is_some()),
            (Inputs::chart_values, !inputs.chart_values.is_empty()),
        ];
        return match inputs.into_iter().find(|(_, is_set)| *is_set) {
            Some((input, _)) => Err(BadInput::new(
                input,
                "requires a Helm chart among the `manifests`",
            )),
            None => Ok(None),
        };
    };
    if let Some(other) = charts.next() {
        let problem = format!(
            "there are two Helm charts, `{}` and `{}`; deploy each in its own step",
            path.relative(),
            other.relative()
        );
        return Err(BadInput::new(Inputs::manifests, problem));
    }
    check_files(workspace.root(), &path.absolute()).map_err(|problem| {
        let problem = format!("the chart `{}`: {problem}", path.relative());
        BadInput::new(Inputs::manifests, problem)
    })?;
    let bad = |problem: String| BadInput::new(Inputs::chart_values, problem);
    let (mut values, mut set) = (Vec::new(), Vec::new());
    for line in &inputs.chart_values {
        if line.contains('=') {
            set.push(line.clone());
            continue;
        }
        let file = workspace.path(Inputs::chart_values, line).map_err(bad)?;
        if !file.absolute().exists() {
            return Err(bad(format!(
                "there is no file `{line}` in the workspace, and it is not of the form `NAME=value`"
            )));
        }
        let text = limits::read_text(workspace.root(), &file.absolute(), VALUES);
        values.push(File {
            path: file.relative().to_owned(),
            text: text.map_err(|e| bad(format!("`{line}` cannot be read: {e}")))?,
        });
    }
    Ok(Some(Chart {
        path: path.clone(),
        release: inputs.release.clone(),
        namespace: namespace.to_owned(),
        values,
        set,
    }))
}

// Helm follows links, and reads every file.
fn check_files(root: &Path, path: &Path) -> Result<(), String> {
    let root = root.canonicalize().map_err(|e| e.to_string())?;
    let (mut pending, mut files, mut size) = (vec![path.to_owned()], 0, 0);
    while let Some(path) = pending.pop() {
        files += 1;
        let shown = || path.strip_prefix(&root).unwrap_or(&path).display();
        let real = path
            .canonicalize()
            .map_err(|e| format!("`{}` cannot be read: {e}", shown()))?;
        if !real.starts_with(&root) {
            let problem = format!("`{}` is a link that leads out of the workspace", shown());
            return Err(problem);
        }
        let metadata = real.metadata().map_err(|e| e.to_string())?;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(|e| e.to_string())?;
            pending.extend(entries.flatten().map(|entry| entry.path()));
        } else if metadata.is_file() {
            size += metadata.len();
        } else {
            return Err(format!("`{}` is not a file", shown()));
        }
        if files > FILES || size > SIZE {
            let limit = SIZE / limits::MIB as u64;
            return Err(format!("it has more than {FILES} files, or {limit} MiB"));
        }
    }
    Ok(())
}

impl Chart {
    /// Render it for `cluster`, with its version and what it serves.
    ///
    /// # Errors
    /// [`BadInput`] with Helm's message, and for a hook that cannot be run; anything else when the cluster rejects a request.
    pub(crate) async fn render(
        &self,
        ctx: &Context,
        cluster: &Cluster,
    ) -> anyhow::Result<Rendered> {
        let log = ctx.log();
        let (version, served) = tokio::try_join!(cluster.version(), cluster.api_versions())?;
        let mut lookups = Vec::new();
        let mut render = async |upgrade: bool| {
            for _ in 0..ROUNDS {
                let response = self.run(ctx, upgrade, &version, &served, &lookups).await?;
                let missing = response.missing.as_deref().unwrap_or_default();
                if missing.is_empty() {
                    return Ok(response);
                }
                for lookup in missing {
                    lookups.push(self.look_up(cluster, lookup).await?);
                }
            }
            Err(self.bad("its templates look up more and more objects of the cluster"))
        };
        let mut response = render(false).await?;
        let is_upgrade = self.is_deployed(cluster, &response).await?;
        if is_upgrade {
            response = render(true).await?;
        }
        log.info(format!(
            "rendered the chart {} {} as the release `{}` in the namespace `{}` ({})",
            response.name,
            response.version,
            response.release,
            self.namespace,
            if is_upgrade { "upgrade" } else { "install" },
        ));
        let random = response.random.as_deref().unwrap_or_default();
        // What a template looks up and does not find yet, it may keep once it is there.
        if !random.is_empty() && lookups.iter().all(|lookup| lookup.object.is_some()) {
            log.warning(format!(
                "{} of the chart {} another result each time, such as a random password, which changes at each deployment; set the value it has by `chart-values`: {}",
                plural(random.len(), "template"),
                if random.len() == 1 { "has" } else { "have" },
                random.join(", ")
            ));
        }
        let mut texts = Vec::new();
        let definitions = response.crds.take().unwrap_or_default();
        texts.extend(self.new_definitions(log, cluster, &definitions).await?);
        let chart = response.name;
        for template in response.templates.into_iter().flatten() {
            texts.push((self.shown(&chart, &template.path), template.text));
        }
        for hook in response.hooks.into_iter().flatten() {
            texts.extend(self.hook(log, &chart, &hook, is_upgrade)?);
        }
        if texts.is_empty() {
            return Err(self.bad("it has no objects with these values"));
        }
        Ok(Rendered {
            path: self.path.clone(),
            texts,
        })
    }

    async fn run(
        &self,
        ctx: &Context,
        upgrade: bool,
        kube_version: &str,
        api_versions: &[String],
        lookups: &[Lookup],
    ) -> anyhow::Result<Response> {
        let chart = self.path.existing()?;
        let request = Request {
            chart: &chart,
            release: self.release.as_deref().unwrap_or_default(),
            namespace: &self.namespace,
            upgrade,
            kube_version,
            api_versions,
            values: &self.values,
            set: &self.set,
            lookups,
        };
        let directory = ctx.private_directory("helm")?;
        let file = directory.path().join("request.json");
        let text = serde_json::to_vec(&request).context("failed to write the values")?;
        tokio::fs::write(&file, text)
            .await
            .context("failed to write the values")?;
        let shown = self.path.relative();
        let done = offline_tool::new(ctx.env(), PROGRAM)
            .arg(&file)
            .timeout(TIMEOUT)
            .capture(ctx.log(), &format!("helm template {shown}"))
            .await?;
        if !done.status.success() {
            // Helm indents the lines that explain the first one.
            let message: Vec<_> = done
                .tail
                .iter()
                .flat_map(|l| l.split_whitespace())
                .collect();
            let message = message.join(" ");
            return Err(self.bad(message.trim_start_matches("Error: ")));
        }
        serde_json::from_slice(&done.stdout).context("failed to read what Helm rendered")
    }

    async fn look_up(&self, cluster: &Cluster, lookup: &Lookup) -> anyhow::Result<Lookup> {
        let Lookup {
            api_version,
            kind,
            namespace,
            name,
            ..
        } = lookup;
        let found = cluster.look_up(api_version, kind, namespace, name).await;
        let object = found.with_context(|| {
            format!(
                "failed to read {kind} `{name}`, which a template of `{}` looks up",
                self.path.relative()
            )
        })?;
        Ok(Lookup {
            object,
            ..lookup.clone()
        })
    }

    // Whether one of its workloads is in the cluster.
    async fn is_deployed(&self, cluster: &Cluster, response: &Response) -> anyhow::Result<bool> {
        let mut workloads = Vec::new();
        for template in response.templates.iter().flatten() {
            // What is not YAML is named when all of it is read.
            let objects = self.objects(template).unwrap_or_default().into_iter();
            workloads.extend(objects.filter(|o| o.is_workload() && !o.name().is_empty()));
        }
        cluster.discover_kinds(&workloads).await?;
        for workload in &workloads {
            if cluster.get(workload).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    // As Helm does, definitions of `crds/` are created, and never changed: other applications may use them too.
    async fn new_definitions(
        &self,
        log: &Log,
        cluster: &Cluster,
        files: &[File],
    ) -> anyhow::Result<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for file in files {
            let objects = self.objects(file)?;
            cluster.discover_kinds(&objects).await?;
            for object in objects {
                if cluster.get(&object).await?.is_some() {
                    log.info(format!(
                        "{} exists: definitions in the `crds` of a chart are created, and not updated",
                        object.label()
                    ));
                } else {
                    texts.push((object.file.clone(), object.value.to_string()));
                }
            }
        }
        Ok(texts)
    }

    // A hook, as an object of the deployment: Jobs run in their order, what they need is applied before them.
    fn hook(
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

    fn objects(&self, file: &File) -> anyhow::Result<Vec<Object>> {
        let documents =
            parse(&file.text).map_err(|e| self.bad(&format!("`{}`: {e}", file.path)))?;
        let objects = documents.into_iter().map(|document| Object {
            file: format!("{}/{}", self.path.relative(), file.path),
            value: document.value,
            default_namespace: Some(self.namespace.clone()),
        });
        Ok(objects.filter(|object| object.value.is_object()).collect())
    }

    // `deploy/chart/templates/app.yaml` of `chart/templates/app.yaml`.
    fn shown(&self, chart: &str, template: &str) -> String {
        let inside = template.strip_prefix(chart).unwrap_or(template);
        format!(
            "{}/{}",
            self.path.relative(),
            inside.trim_start_matches('/')
        )
    }

    fn bad(&self, problem: &str) -> anyhow::Error {
        let shown = self.path.relative();
        BadInput::new(
            Inputs::manifests,
            format!("failed to render the Helm chart `{shown}`: {problem}"),
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let workspace = Workspace::new(Path::new("/nonexistent"));
        Chart {
            path: workspace.path(Inputs::manifests, "deploy/shop").unwrap(),
            release: None,
            namespace: "shop".to_owned(),
            values: Vec::new(),
            set: Vec::new(),
        }
    }

    fn hook(kind: &str, events: &[&str], is_upgrade: bool) -> Result<Vec<Object>, String> {
        let hook = Hook {
            file: File {
                path: "shop/templates/x.yaml".into(),
                text: format!("apiVersion: batch/v1\nkind: {kind}\nmetadata: {{name: x}}\n"),
            },
            events: events.iter().map(ToString::to_string).collect(),
        };
        let chart = chart();
        let texts = chart.hook(&Log::sink(), "shop", &hook, is_upgrade);
        let texts = texts.map_err(|e| format!("{e:#}"))?.into_iter();
        let objects = texts.map(|(path, text)| Object {
            file: path,
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

    #[test]
    fn a_chart_that_leads_out_of_the_workspace_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let chart = directory.path().join("root/chart");
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        std::fs::write(directory.path().join("secret"), "a").unwrap();
        std::fs::write(chart.join("Chart.yaml"), "name: chart").unwrap();
        let root = directory.path().join("root");
        assert_eq!(check_files(&root, &chart), Ok(()));
        let link = chart.join("templates/secret.txt");
        std::os::unix::fs::symlink(directory.path().join("secret"), &link).unwrap();
        let error = check_files(&root, &chart).unwrap_err();
        assert!(error.contains("templates/secret.txt` is a link"), "{error}");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("..", chart.join("templates/around")).unwrap();
        let error = check_files(&root, &chart).unwrap_err();
        assert!(!error.is_empty());
    }
}
