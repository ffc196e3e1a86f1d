//! The cluster: objects read, applied and removed through its API server.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use actions_toolkit::{BadInput, Log};
use anyhow::{Context as _, anyhow};
use azure::{Entra, Nodes};
use futures_util::StreamExt as _;
use futures_util::future::{ready, try_join_all};
use futures_util::stream::BoxStream;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, WatchEvent, WatchParams,
};
use kube::client::{Body, ClientBuilder};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiResource, Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::{Value, json};
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::retry::RetryLayer;
use tower::util::MapResponseLayer;

use super::retry::RetryConnection;
use super::warnings::Warnings;
use super::{Object, Owners, RunCommand, schema, text};

/// The field manager of server-side apply.
pub(super) const FIELD_MANAGER: &str = "seaworthy";
/// The namespace of an object whose manifest names none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// More requests than are sent in parallel.
const QUEUE: usize = 1024;
/// Bytes of one response, many times what the largest object or list has: etcd takes no object over 1.5 MiB.
const RESPONSE_LIMIT: usize = 64 * limits::MIB;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One request, with all the client's own attempts.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where a pod of the cluster sends the request: it has to start first.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// The bytes of a Service's response that are read.
const BODY_LIMIT: usize = 64 * 1024;

/// A stream that has an item for each change.
pub(crate) type Changes = BoxStream<'static, ()>;

/// A cluster and the kinds that it serves.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The same without another attempt after a 503: it may be the response of an application.
    once: Client,
    timeout: Duration,
    /// Whether a response may be a stream.
    streams: bool,
    /// Whether it gets more nodes, if Resource Manager reports that.
    pub(crate) nodes: Option<Nodes>,
    /// Written when kinds are discovered, before and after definitions are applied.
    kinds: RwLock<BTreeMap<String, (ApiResource, Scope)>>,
}

/// A response that the API server has passed on, or its own if it rejects the request.
pub(crate) struct Proxied {
    pub(crate) status: u16,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    /// The start of the body.
    pub(crate) body: String,
}

/// A response of the API server that rejects a request.
#[derive(Debug, thiserror::Error)]
#[error("{message}{hint}")]
pub(crate) struct Rejected {
    /// The HTTP status.
    pub(crate) code: u16,
    message: String,
    hint: &'static str,
    /// Whether a field has a wrong name or type: the API server responds with 500 then.
    is_of_a_field: bool,
}

impl Rejected {
    /// One with the status `code`.
    #[cfg(test)]
    pub(crate) fn of_test(code: u16) -> Self {
        Self {
            code,
            message: "rejected".to_owned(),
            hint: "",
            is_of_a_field: false,
        }
    }

    /// Whether the object was changed since it was read.
    fn is_conflict(&self) -> bool {
        self.code == 409
    }

    /// Whether a webhook or a policy of the cluster rejects it (kubernetes.io/docs/reference/access-authn-authz).
    pub(crate) fn is_of_admission(&self) -> bool {
        self.message.contains("admission webhook")
            || self.message.contains("ValidatingAdmissionPolicy")
    }

    /// Whether the object itself is invalid, independent of who applies it and when.
    pub(crate) fn is_invalid_object(&self) -> bool {
        matches!(self.code, 400 | 422) || self.is_of_a_field
    }
}

/// Whether the API server rejected a request as [`Rejected::is_invalid_object`] has it.
pub(crate) fn is_invalid(error: &anyhow::Error) -> bool {
    error
        .downcast_ref()
        .is_some_and(Rejected::is_invalid_object)
}

/// Whether the API server rejected a request as [`Rejected::is_conflict`] has it.
pub(crate) fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(Rejected::is_conflict)
}

// The key of a kind: `apps/v1 Deployment`.
fn key(object: &Object) -> String {
    format!("{} {}", object.api_version(), object.kind())
}

// Whether a kind was looked up that the cluster does not have.
fn is_unknown(error: &anyhow::Error) -> bool {
    let rejected = error.downcast_ref::<Rejected>();
    let discovery = error.downcast_ref::<kube::Error>();
    rejected.is_some_and(|e| e.code == 404)
        || discovery.is_some_and(|e| matches!(e, kube::Error::Discovery(_)))
}

async fn sign(entra: Option<Entra>, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
    if let Some(entra) = entra {
        let token = entra.token(azure::Scope::Cluster).await?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

// `HTTPS_PROXY=proxy:3128`: curl and reqwest read a proxy without a scheme as one that speaks HTTP.
fn with_scheme(proxy: http::Uri) -> anyhow::Result<http::Uri> {
    if proxy.scheme().is_some() {
        return Ok(proxy);
    }
    let mut parts = proxy.into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    // The value may contain a password.
    http::Uri::from_parts(parts)
        .context("the proxy for the cluster is not a URL; check `HTTPS_PROXY` and `proxy-url`")
}

// Whether the role Azure Kubernetes Service RBAC Writer has the right that `message` is about: `cannot get resource "x" in API
// group "y" in the namespace "z"`. It covers the workloads and their configuration in a namespace; no namespaces, no roles, no
// quotas, and no custom resources (learn.microsoft.com/azure/aks/manage-azure-rbac).
fn is_of_writer(message: &str) -> bool {
    const GROUPS: [&str; 8] = [
        "",
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "networking.k8s.io",
        "policy",
        "events.k8s.io",
    ];
    const NOT: [&str; 6] = [
        "namespaces",
        "nodes",
        "resourcequotas",
        "limitranges",
        "persistentvolumes",
        "ingressclasses",
    ];
    let quoted = |after: &str| {
        let rest = message.split_once(after)?.1;
        rest.split('"').nth(1)
    };
    let (resource, group) = (quoted("resource "), quoted("API group "));
    let resource = resource.unwrap_or_default();
    let resource = resource.split('/').next().unwrap_or_default();
    group.is_some_and(|group| GROUPS.contains(&group))
        && !NOT.contains(&resource)
        && !message.contains("at the cluster scope")
}

fn explain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => {
            // Admission also responds with 403; its message gives the reason.
            let lacks_right = status.code == 403 && status.message.contains(" cannot ");
            let hint = match status.code {
                401 => "; the cluster rejects the identity's token",
                403 if lacks_right && is_of_writer(&status.message) => {
                    "; give the identity a role in the cluster that allows it (a RoleBinding, or Azure Kubernetes Service RBAC Writer)"
                }
                403 if lacks_right => {
                    "; give the identity a role in the cluster that allows it: a ClusterRole with its binding, or Azure Kubernetes Service RBAC Cluster Admin (RBAC Writer has no right to it)"
                }
                _ => "",
            };
            let message = if status.message.is_empty() {
                format!("the API server responded with status {}", status.code)
            } else {
                status.message
            };
            let code = status.code;
            let of_a_field = schema::problem(&message);
            Rejected {
                code,
                is_of_a_field: of_a_field.is_some(),
                message: of_a_field.unwrap_or(message),
                hint,
            }
            .into()
        }
        kube::Error::Service(e) if e.is::<LengthLimitError>() => {
            let limit = RESPONSE_LIMIT / limits::MIB;
            anyhow!("the response of the API server is over the limit of {limit} MiB")
        }
        kube::Error::Service(e) => anyhow::Error::from_boxed(e),
        other => other.into(),
    }
}

impl Cluster {
    /// Connect with the user of `config` or the tokens of `entra`; the API server's warnings go to `log`.
    pub(crate) fn connect(
        mut config: Config,
        entra: Option<Entra>,
        log: &Log,
    ) -> anyhow::Result<Self> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.proxy_url = config.proxy_url.map(with_scheme).transpose()?;
        // A token may expire before the rollout or the rollback is done.
        let signed = AsyncFilterLayer::new(move |request| sign(entra.clone(), request));
        let warnings = Warnings::new(log);
        let limit = MapResponseLayer::new(|response: Response<_>| {
            response.map(|body| Limited::new(body, RESPONSE_LIMIT))
        });
        let build = |config: Config| {
            let client = ClientBuilder::try_from(config);
            let client = client.context("failed to prepare the client for the cluster")?;
            let client = client
                .with_layer(&limit)
                .with_layer(&BufferLayer::new(QUEUE))
                .with_layer(&RetryLayer::new(RetryConnection::default()))
                .with_layer(&signed)
                .with_layer(&warnings);
            anyhow::Ok(client.build())
        };
        let mut once = config.clone();
        once.default_retry = false;
        Ok(Self {
            client: build(config)?,
            once: build(once)?,
            timeout: RESPONSE_TIMEOUT,
            streams: true,
            nodes: None,
            kinds: RwLock::default(),
        })
    }

    /// Connect through pods of the cluster that send the requests.
    pub(crate) fn through_run_command(command: RunCommand, log: &Log) -> Self {
        let client = ClientBuilder::new(command.connection(), DEFAULT_NAMESPACE);
        let client = client.with_layer(&Warnings::new(log)).build();
        Self {
            once: client.clone(),
            client,
            timeout: COMMAND_TIMEOUT,
            streams: false,
            nodes: None,
            kinds: RwLock::default(),
        }
    }

    /// The response to one request, within its timeout, with errors explained.
    pub(crate) async fn response<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> anyhow::Result<T> {
        let seconds = self.timeout.as_secs();
        tokio::time::timeout(self.timeout, request)
            .await
            .map_err(|_| anyhow!("timed out after {seconds}s waiting for the API server"))?
            .map_err(explain)
    }

    /// The response to `request`, which the API server passes on to a Service.
    ///
    /// # Errors
    /// When there is no response in time.
    pub(crate) async fn proxied(&self, request: Request<Body>) -> anyhow::Result<Proxied> {
        let response = self.response(async {
            let response = self.once.send(request).await?;
            let status = response.status().as_u16();
            let location = response.headers().get(LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()));
            let location = location.map(String::from);
            let body = Limited::new(response.into_body(), BODY_LIMIT);
            // Of a longer body nothing is needed.
            let body = body.collect().await.map(Collected::to_bytes);
            let body = body.unwrap_or_default();
            Ok(Proxied {
                status,
                location,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        });
        response.await
    }

    /// The changes of the objects of `api` that `params` selects, from now on; `None` where they cannot be watched.
    pub(crate) async fn watch(
        &self,
        api: &Api<DynamicObject>,
        params: &WatchParams,
    ) -> Option<Changes> {
        if !self.streams {
            return None;
        }
        let events = self.response(api.watch_metadata(params, "0")).await.ok()?;
        let goes_on = |event: &Result<_, _>| {
            ready(matches!(event, Ok(event) if !matches!(event, WatchEvent::Error(_))))
        };
        Some(events.take_while(goes_on).map(|_| ()).boxed())
    }

    /// The version of the API server: the first request, which shows whether it is reachable.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        Ok(self
            .response(self.client.apiserver_version())
            .await?
            .git_version)
    }

    /// Discover the kinds of `objects`, in parallel. A kind that the cluster does not know yet, and a definition among `objects`
    /// will add, is left out: see [`Cluster::knows`].
    ///
    /// # Errors
    /// [`BadInput`] for any other kind that the cluster does not know.
    pub(crate) async fn discover_kinds(&self, objects: &[Object]) -> anyhow::Result<()> {
        // Of several objects of a kind the first is the one that an error names, as the last one inserted.
        let one_each: BTreeMap<_, _> = objects.iter().rev().map(|o| (key(o), o)).collect();
        let kinds = one_each.into_iter().map(async |(key, object)| {
            let (group, version) = object
                .api_version()
                .split_once('/')
                .unwrap_or(("", object.api_version()));
            let kind = GroupVersionKind::gvk(group, version, object.kind());
            let (label, place) = (object.label(), object.place());
            match self.response(pinned_kind(&self.client, &kind)).await {
                Ok((resource, capabilities)) => Ok(Some((key, (resource, capabilities.scope)))),
                Err(e) if !is_unknown(&e) => Err(e.context(format!(
                    "failed to look up the kind of `{label}` in {place} ({key})"
                ))),
                Err(_) if objects.iter().any(|o| o.defines(object)) => Ok(None),
                Err(_) => Err(BadInput::new("manifests", format!(
                    "the cluster does not know the kind of `{label}` in {place} ({key}); check its `apiVersion` and `kind`, or add its CustomResourceDefinition"
                ))
                .into()),
            }
        });
        let kinds = try_join_all(kinds).await?.into_iter().flatten();
        let mut known = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(kinds);
        Ok(())
    }

    /// Whether the kind of `object` was discovered.
    pub(crate) fn knows(&self, object: &Object) -> bool {
        let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&key(object))
    }

    /// Whether the objects of the kind of `object` are in namespaces, if it was discovered.
    pub(super) fn scope(&self, object: &Object) -> Option<Scope> {
        let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&key(object)).map(|(_, scope)| scope.clone())
    }

    /// The preferred version of `kind` in `group`, which counts as discovered from now on; `None` if the cluster has none.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn kind(
        &self,
        group: &str,
        kind: &str,
    ) -> anyhow::Result<Option<(ApiResource, Scope)>> {
        let found = match self.response(discovery::group(&self.client, group)).await {
            Ok(group) => group.recommended_kind(kind).or_else(|| {
                // The preferred version of the group need not have each kind.
                let mut kinds = group.resources_by_stability().into_iter();
                kinds.find(|(resource, _)| resource.kind == kind)
            }),
            Err(e) if is_unknown(&e) => None,
            Err(e) => return Err(e.context(format!("failed to look up the kind {kind}.{group}"))),
        };
        Ok(found.map(|(resource, capabilities)| {
            let key = format!("{} {kind}", resource.api_version);
            let found = (resource, capabilities.scope);
            let mut known = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(key, found.clone());
            found
        }))
    }

    pub(crate) fn api(&self, object: &Object) -> anyhow::Result<Api<DynamicObject>> {
        let key = key(object);
        let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let (resource, scope) = known
            .get(&key)
            .with_context(|| format!("the kind {key} was not discovered"))?;
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => {
                let namespace = object.namespace_or_default();
                Api::namespaced_with(self.client.clone(), namespace, resource)
            }
        })
    }

    /// The object as it is in the cluster.
    pub(crate) async fn get(&self, object: &Object) -> anyhow::Result<Option<Value>> {
        let live = self
            .response(self.api(object)?.get_opt(object.name()))
            .await
            .with_context(|| format!("failed to read `{}`", object.label()))?;
        live.map(|live| serde_json::to_value(live).context("failed to read an object"))
            .transpose()
    }

    /// Apply it server-side; with `dry_run` nothing is changed.
    pub(crate) async fn apply(&self, object: &Object, dry_run: bool) -> anyhow::Result<Value> {
        let mut params = PatchParams::apply(FIELD_MANAGER).force();
        params.dry_run = dry_run;
        let api = self.api(object)?;
        let patch = Patch::Apply(&object.value);
        let applied = self
            .response(api.patch(object.name(), &params, &patch))
            .await
            .with_context(|| {
                format!("failed to apply `{}` of {}", object.label(), object.place())
            })?;
        serde_json::to_value(applied).context("failed to read an object")
    }

    /// What the merge patch `patch` would make of `object`; nothing is changed.
    ///
    /// # Errors
    /// [`Rejected`] when the API server rejects it.
    pub(super) async fn dry_run_patch(
        &self,
        object: &Object,
        patch: &Value,
    ) -> anyhow::Result<Value> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: true,
            ..PatchParams::default()
        };
        let api = self.api(object)?;
        let patched = self
            .response(api.patch(object.name(), &params, &Patch::Merge(patch)))
            .await
            .with_context(|| format!("failed to check `{}`", object.label()))?;
        serde_json::to_value(patched).context("failed to read an object")
    }

    /// Set the owners of the fields of `live`, the object as it was read, and nothing else; no field changes its value.
    ///
    /// # Errors
    /// [`Rejected`] with a conflict when the object was changed since it was read.
    pub(crate) async fn set_owners(
        &self,
        object: &Object,
        live: &Value,
        owners: Owners,
    ) -> anyhow::Result<Value> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = json!({"metadata": {
            "resourceVersion": text(live, "/metadata/resourceVersion"),
            "managedFields": owners.into_entries(),
        }});
        let api = self.api(object)?;
        let patched = self
            .response(api.patch(object.name(), &params, &Patch::Merge(&patch)))
            .await
            .with_context(|| {
                format!("failed to change the field owners of `{}`", object.label())
            })?;
        serde_json::to_value(patched).context("failed to read an object")
    }

    /// Remove it; an object that does not exist is not an error.
    pub(crate) async fn delete(&self, object: &Object) -> anyhow::Result<()> {
        self.delete_with(object, &DeleteParams::background()).await
    }

    /// Remove the object that was read as `live`, and no other one of its name.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub(super) async fn delete_exactly(&self, object: &Object, live: &Value) -> anyhow::Result<()> {
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(text(live, "/metadata/uid").to_owned()),
            resource_version: None,
        });
        match self.delete_with(object, &params).await {
            Err(e) if is_conflict(&e) => Ok(()),
            done => done,
        }
    }

    async fn delete_with(&self, object: &Object, params: &DeleteParams) -> anyhow::Result<()> {
        let api = self.api(object)?;
        match self.response(api.delete(object.name(), params)).await {
            Err(e) if e.downcast_ref::<Rejected>().is_some_and(|e| e.code == 404) => Ok(()),
            done => done
                .map(drop)
                .with_context(|| format!("failed to remove `{}`", object.label())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_of_writer, with_scheme};

    #[test]
    fn what_the_role_writer_does_not_cover_is_known() {
        let message = |resource: &str, group: &str, place: &str| {
            format!(
                r#"x is forbidden: User "u" cannot patch resource "{resource}" in API group "{group}" {place}"#
            )
        };
        let table = [
            ("deployments", "apps", r#"in the namespace "web""#, true),
            ("services/proxy", "", r#"in the namespace "web""#, true),
            (
                "ingresses",
                "networking.k8s.io",
                r#"in the namespace "web""#,
                true,
            ),
            ("namespaces", "", r#"in the namespace "web""#, false),
            (
                "roles",
                "rbac.authorization.k8s.io",
                r#"in the namespace "web""#,
                false,
            ),
            (
                "httproutes",
                "gateway.networking.k8s.io",
                r#"in the namespace "web""#,
                false,
            ),
            ("deployments", "apps", "at the cluster scope", false),
        ];
        for (resource, group, place, expected) in table {
            let message = message(resource, group, place);
            assert_eq!(is_of_writer(&message), expected, "{message}");
        }
    }

    #[test]
    fn a_proxy_without_a_scheme_speaks_http() {
        let table = [
            ("me:pass@proxy:3128", "http://me:pass@proxy:3128/"),
            ("proxy:3128", "http://proxy:3128/"),
            ("https://proxy", "https://proxy/"),
            ("socks5://proxy:1080", "socks5://proxy:1080/"),
        ];
        for (given, expected) in table {
            let proxy = with_scheme(given.parse().unwrap()).unwrap();
            assert_eq!(proxy.to_string(), expected);
        }
    }
}
