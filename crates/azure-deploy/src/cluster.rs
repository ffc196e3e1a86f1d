//! The cluster: objects read, applied and removed through its API server.

use std::collections::BTreeMap;
use std::time::Duration;

use actions_toolkit::Log;
use anyhow::{Context as _, anyhow};
use azure::{Directory, Nodes};
use futures_util::StreamExt as _;
use futures_util::future::{ready, try_join_all};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use kube::client::{Body, ClientBuilder};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::Value;
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::retry::RetryLayer;

use crate::object::Object;
use crate::watch::Changes;

mod again;
mod patience;
mod run_command;
mod warnings;

use again::Again;
pub(crate) use patience::{Patience, patiently};
pub(crate) use run_command::RunCommand;
use warnings::Warnings;

/// The name under which we own fields.
const MANAGER: &str = "seaworthy";
/// The namespace of an object that names none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// More questions than are asked at once.
const QUEUE: usize = 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// One question, with all the client's own attempts.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The same where a pod of the cluster asks: it has to start first.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    limit: Duration,
    /// Whether an answer may be a stream.
    streams: bool,
    /// Whether it gets more nodes, as far as Resource Manager says so.
    pub(crate) nodes: Option<Nodes>,
    kinds: BTreeMap<String, (ApiResource, Scope)>,
}

/// What the API server said when it refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}{cure}")]
pub(crate) struct Refused {
    /// The HTTP status.
    pub(crate) code: u16,
    message: String,
    cure: &'static str,
}

impl Refused {
    /// Whether the object itself is wrong, whoever applies it and whenever.
    pub(crate) fn is_of_the_object(&self) -> bool {
        matches!(self.code, 400 | 422)
    }
}

// What a kind is known under: `apps/v1 Deployment`.
fn key(object: &Object) -> String {
    format!("{} {}", object.api_version(), object.kind())
}

async fn sign(
    directory: Option<Directory>,
    mut request: Request<Body>,
) -> Result<Request<Body>, BoxError> {
    if let Some(directory) = directory {
        let token = directory.token(azure::Scope::Cluster).await?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => {
            // Admission also answers 403; there the message says what it did not like.
            let lacks_right = status.code == 403 && status.message.contains(" cannot ");
            let cure = match status.code {
                401 => "; the cluster does not take the identity's token",
                403 if lacks_right => {
                    "; give the identity a role in the cluster that allows it (a RoleBinding, or Azure Kubernetes Service RBAC Writer)"
                }
                _ => "",
            };
            let message = if status.message.is_empty() {
                format!("the API server answered {}", status.code)
            } else {
                status.message
            };
            let code = status.code;
            Refused {
                code,
                message,
                cure,
            }
            .into()
        }
        kube::Error::Service(e) => anyhow::Error::from_boxed(e),
        other => other.into(),
    }
}

impl Cluster {
    /// Connect, as whoever `config` names or `directory` gives tokens to; what the API server warns of goes to `log`.
    pub(crate) fn connect(
        mut config: Config,
        directory: Option<Directory>,
        log: &Log,
    ) -> anyhow::Result<Self> {
        config.connect_timeout = Some(CONNECT_LIMIT);
        let client = ClientBuilder::try_from(config);
        let client = client.context("while preparing the client for the cluster")?;
        // A token may end before the rollout does, or the way back.
        let signed = AsyncFilterLayer::new(move |request| sign(directory.clone(), request));
        Ok(Self {
            client: client
                .with_layer(&BufferLayer::new(QUEUE))
                .with_layer(&RetryLayer::new(Again::default()))
                .with_layer(&signed)
                .with_layer(&Warnings::new(log))
                .build(),
            limit: ANSWER_LIMIT,
            streams: true,
            nodes: None,
            kinds: BTreeMap::new(),
        })
    }

    /// A cluster that is asked by `command`, in a pod of its own.
    pub(crate) fn through(command: RunCommand, log: &Log) -> Self {
        let client = ClientBuilder::new(command.connection(), DEFAULT_NAMESPACE);
        Self {
            client: client.with_layer(&Warnings::new(log)).build(),
            limit: COMMAND_LIMIT,
            streams: false,
            nodes: None,
            kinds: BTreeMap::new(),
        }
    }

    /// The answer to one question, within its limit and in plain words.
    pub(crate) async fn answer<T>(
        &self,
        question: impl Future<Output = Result<T, kube::Error>>,
    ) -> anyhow::Result<T> {
        let limit = self.limit.as_secs();
        tokio::time::timeout(self.limit, question)
            .await
            .map_err(|_| anyhow!("the API server did not answer within {limit} s"))?
            .map_err(plain)
    }

    /// The changes of the objects of `api` that `params` selects, from now on; none where they can't be watched.
    pub(crate) async fn changes_of(
        &self,
        api: &Api<DynamicObject>,
        params: &WatchParams,
    ) -> Option<Changes> {
        if !self.streams {
            return None;
        }
        let events = self.answer(api.watch_metadata(params, "0")).await.ok()?;
        let goes_on = |event: &Result<_, _>| {
            ready(matches!(event, Ok(event) if !matches!(event, WatchEvent::Error(_))))
        };
        Some(events.take_while(goes_on).map(|_| ()).boxed())
    }

    /// The version of the API server: the first question, which shows whether it can be reached.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        Ok(self
            .answer(self.client.apiserver_version())
            .await?
            .git_version)
    }

    /// Learn the kinds of `objects`, all at once.
    pub(crate) async fn learn(&mut self, objects: &[Object]) -> anyhow::Result<()> {
        // Of several objects of a kind the first is the one that an error names, as the last one inserted.
        let one_each: BTreeMap<_, _> = objects.iter().rev().map(|o| (key(o), o)).collect();
        let learnt = one_each.into_iter().map(async |(key, object)| {
            let (group, version) = object
                .api_version()
                .split_once('/')
                .unwrap_or(("", object.api_version()));
            let kind = GroupVersionKind::gvk(group, version, object.kind());
            let (resource, capabilities) = self
                .answer(pinned_kind(&self.client, &kind))
                .await
                .with_context(|| {
                    format!(
                        "the cluster does not know the kind of `{}` in `{}` ({key})",
                        object.label(),
                        object.file
                    )
                })?;
            anyhow::Ok((key, (resource, capabilities.scope)))
        });
        let learnt = try_join_all(learnt).await?;
        self.kinds.extend(learnt);
        Ok(())
    }

    pub(crate) fn api(&self, object: &Object) -> anyhow::Result<Api<DynamicObject>> {
        let key = key(object);
        let (resource, scope) = self
            .kinds
            .get(&key)
            .with_context(|| format!("the kind {key} was not learnt"))?;
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or(DEFAULT_NAMESPACE);
                Api::namespaced_with(self.client.clone(), namespace, resource)
            }
        })
    }

    /// The object as it is in the cluster.
    pub(crate) async fn get(&self, object: &Object) -> anyhow::Result<Option<Value>> {
        let found = self
            .answer(self.api(object)?.get_opt(object.name()))
            .await
            .with_context(|| format!("while reading `{}`", object.label()))?;
        found
            .map(|found| serde_json::to_value(found).context("while reading an object"))
            .transpose()
    }

    /// Apply it server-side; with `dry` nothing is changed.
    pub(crate) async fn apply(&self, object: &Object, dry: bool) -> anyhow::Result<Value> {
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry;
        let api = self.api(object)?;
        let patch = Patch::Apply(&object.value);
        let applied = self
            .answer(api.patch(object.name(), &params, &patch))
            .await
            .with_context(|| format!("while applying `{}` of `{}`", object.label(), object.file))?;
        serde_json::to_value(applied).context("while reading an object")
    }

    /// Remove it; it is no error if it is not there.
    pub(crate) async fn delete(&self, object: &Object) -> anyhow::Result<()> {
        let api = self.api(object)?;
        match self
            .answer(api.delete(object.name(), &DeleteParams::background()))
            .await
        {
            Err(e) if e.downcast_ref::<Refused>().is_some_and(|e| e.code == 404) => Ok(()),
            done => done
                .map(drop)
                .with_context(|| format!("while removing `{}`", object.label())),
        }
    }
}
