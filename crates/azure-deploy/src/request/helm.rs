//! Helm charts, rendered by Helm's own packages (`tools/helm-template`).
//!
//! What holds: no program is run for a chart, nothing is fetched for what is in it, and the renderer has no credential. The values are in a
//! private file, and in no argument. What templates look up in the cluster is read by this action, as the identity that deploys.

use std::path::Path;

use actions_toolkit::{Context, Log, WorkspacePath, text::plural};
use anyhow::Context as _;

use super::Rendered;
use crate::kubernetes::{Cluster, Object};
use crate::manifests::parse;
use crate::steps::connect::Azure;

mod find;
mod hooks;
mod remote;
mod renderer;

pub(super) use find::find;
use remote::Remote;
use renderer::{File, Lookup, Request, Response};

/// What templates look up may depend on what they have looked up before.
const ROUNDS: usize = 10;
/// Objects, and lists of them, that templates look up: each is a request, and is kept in memory.
const LOOKUPS: usize = 200;

/// A chart, and what it is rendered with.
pub(crate) struct Chart {
    /// What `manifests` has: a directory, an archive, or a reference.
    path: WorkspacePath,
    /// The reference, if it is one.
    remote: Option<Remote>,
    release: Option<String>,
    namespace: String,
    values: Vec<File>,
    set: Vec<String>,
}

impl Chart {
    /// Render it for `cluster`, with its version and what it serves.
    ///
    /// # Errors
    /// [`BadInput`] with Helm's message, and for a hook that cannot be run; anything else when the cluster rejects a request.
    pub(crate) async fn render(
        &self,
        ctx: &Context,
        azure: Option<&Azure>,
        cluster: &Cluster,
    ) -> anyhow::Result<Rendered> {
        let log = ctx.log();
        // It is there until the chart is rendered.
        let directory = ctx.private_directory("chart")?;
        let chart = match &self.remote {
            Some(remote) => remote.pull(ctx, azure, directory.path()).await?,
            None => self.path.existing()?,
        };
        let (version, served) = tokio::try_join!(cluster.version(), cluster.api_versions())?;
        let mut lookups = Vec::new();
        let mut render = async |upgrade: bool| {
            for _ in 0..ROUNDS {
                let request = self.request(&chart, upgrade, &version, &served, &lookups);
                let response = request.render(ctx, self.path.given()).await?;
                let missing = response.missing.as_deref().unwrap_or_default();
                if missing.is_empty() {
                    return Ok(response);
                }
                if lookups.len() + missing.len() > LOOKUPS {
                    let problem = format!("its templates look up more than {LOOKUPS} objects");
                    return Err(self.bad(&problem));
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

    fn request<'a>(
        &'a self,
        chart: &'a Path,
        upgrade: bool,
        kube_version: &'a str,
        api_versions: &'a [String],
        lookups: &'a [Lookup],
    ) -> Request<'a> {
        Request {
            chart,
            release: self.release.as_deref().unwrap_or_default(),
            namespace: &self.namespace,
            upgrade,
            kube_version,
            api_versions,
            values: &self.values,
            set: &self.set,
            lookups,
        }
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
                self.path.given()
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

    fn objects(&self, file: &File) -> anyhow::Result<Vec<Object>> {
        let documents =
            parse(&file.text).map_err(|e| self.bad(&format!("`{}`: {e}", file.path)))?;
        let objects = documents.into_iter().map(|document| Object {
            file: format!("{}/{}", self.path.given(), file.path),
            document: None,
            value: document.value,
            default_namespace: Some(self.namespace.clone()),
        });
        Ok(objects.filter(|object| object.value.is_object()).collect())
    }

    // `deploy/chart/templates/app.yaml` of `chart/templates/app.yaml`.
    fn shown(&self, chart: &str, template: &str) -> String {
        let inside = template.strip_prefix(chart).unwrap_or(template);
        format!("{}/{}", self.path.given(), inside.trim_start_matches('/'))
    }

    fn bad(&self, problem: &str) -> anyhow::Error {
        renderer::invalid(self.path.given(), problem)
    }
}

#[cfg(fuzzing)]
pub(crate) mod fuzz {
    /// What the renderer writes.
    pub(crate) fn response(text: &[u8]) {
        let _ = super::Response::read(text);
    }
}
