//! Azure Resource Manager.
//!
//! Source: azure-rest-api-specs, Microsoft.ContainerRegistry 2025-11-01 (`Registries_Get`, `Registries_List`)
//! and Microsoft.ContainerService 2025-10-01 (`ManagedClusters_Get`, `ManagedClusters_ListClusterUserCredentials`);
//! learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Shared;
use super::{kubeconfig, run_command, schema};

const REGISTRIES: &str = "Microsoft.ContainerRegistry/registries";
pub(super) const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters";

pub(super) fn router() -> Router<Shared> {
    let group = "/subscriptions/{subscription}/resourceGroups/{group}/providers";
    Router::new()
        .route(
            &format!("/subscriptions/{{subscription}}/providers/{REGISTRIES}"),
            get(registries),
        )
        .route(&format!("{group}/{REGISTRIES}/{{name}}"), get(registry))
        .route(&format!("{group}/{CLUSTERS}/{{name}}"), get(cluster))
        .route(
            &format!("{group}/{CLUSTERS}/{{name}}/listClusterUserCredential"),
            post(credential),
        )
        .route(
            &format!("{group}/{CLUSTERS}/{{name}}/runCommand"),
            post(run_command::submit),
        )
        .route(
            &format!("{group}/{CLUSTERS}/{{name}}/commandResults/{{command}}"),
            get(run_command::result),
        )
        .layer(from_fn(traced))
}

// The ids that Azure's support requires.
async fn traced(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for name in ["x-ms-request-id", "x-ms-correlation-request-id"] {
        if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
            response.headers_mut().insert(name, id);
        }
    }
    response
}

pub(super) fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    debug_assert_eq!(schema::ERROR.problem(&body), None);
    (status, Json(body)).into_response()
}

/// Any other path.
pub(super) fn unknown() -> Response {
    let message = "The requested resource does not support this operation, or does not exist.";
    refused(StatusCode::NOT_FOUND, "NotFound", message)
}

/// A resource that was named in a path.
#[derive(serde::Deserialize)]
pub(super) struct Named {
    subscription: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    name: String,
    /// A command that the cluster runs.
    #[serde(default)]
    pub(super) command: String,
}

/// Whether `named` is the resource of `kind` called `name`, and the identity may do `action` with it.
pub(super) fn allowed(
    shared: &Shared,
    named: &Named,
    kind: &str,
    name: &str,
    action: &str,
) -> Result<(), Box<Response>> {
    let c = &shared.0.config;
    let not_found =
        |code: &str, message: String| Err(refused(StatusCode::NOT_FOUND, code, &message).into());
    if named.subscription != c.subscription {
        return not_found(
            "SubscriptionNotFound",
            format!(
                "The subscription '{}' could not be found.",
                named.subscription
            ),
        );
    }
    let action = format!("{kind}/{action}");
    if c.denied.iter().any(|denied| action.contains(denied)) {
        let message = format!(
            "The client '{0}' with object id '{0}' does not have authorization to perform action '{action}' over scope '/subscriptions/{1}/resourceGroups/{2}/providers/{kind}/{3}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
            c.client, named.subscription, named.group, named.name
        );
        return Err(refused(StatusCode::FORBIDDEN, "AuthorizationFailed", &message).into());
    }
    if !named.group.eq_ignore_ascii_case(&c.resource_group) {
        return not_found(
            "ResourceGroupNotFound",
            format!("Resource group '{}' could not be found.", named.group),
        );
    }
    if !named.name.eq_ignore_ascii_case(name) {
        return not_found(
            "ResourceNotFound",
            format!(
                "The Resource '{kind}/{}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
                named.name, named.group
            ),
        );
    }
    Ok(())
}

pub(super) fn id(shared: &Shared, kind: &str, name: &str) -> String {
    let c = &shared.0.config;
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{kind}/{name}",
        c.subscription, c.resource_group
    )
}

fn registry_of(shared: &Shared) -> Value {
    let c = &shared.0.config;
    json!({
        "id": id(shared, REGISTRIES, &c.registry), "name": c.registry, "type": REGISTRIES, "location": "westeurope",
        "sku": {"name": "Basic", "tier": "Basic"}, "tags": {},
        "properties": {
            "loginServer": c.login_server, "creationDate": "2026-01-01T00:00:00Z", "provisioningState": "Succeeded",
            "adminUserEnabled": false, "publicNetworkAccess": "Enabled", "roleAssignmentMode": "LegacyRegistryPermissions",
            "policies": {"azureADAuthenticationAsArmPolicy": {"status": "enabled"}},
        },
    })
}

async fn registries(State(shared): State<Shared>, Path(named): Path<Named>) -> Response {
    let c = &shared.0.config;
    let named = Named {
        group: c.resource_group.clone(),
        name: c.registry.clone(),
        ..named
    };
    match allowed(&shared, &named, REGISTRIES, &c.registry, "read") {
        Ok(()) => {
            let one_page = |registry| json!({"value": [registry]});
            schema::REGISTRY.frame(registry_of(&shared), one_page)
        }
        Err(refusal) => *refusal,
    }
}

async fn registry(State(shared): State<Shared>, Path(named): Path<Named>) -> Response {
    match allowed(
        &shared,
        &named,
        REGISTRIES,
        &shared.0.config.registry,
        "read",
    ) {
        Ok(()) => schema::REGISTRY.response(registry_of(&shared)),
        Err(refusal) => *refusal,
    }
}

async fn cluster(State(shared): State<Shared>, Path(named): Path<Named>) -> Response {
    let c = &shared.0.config;
    if let Err(refusal) = allowed(&shared, &named, CLUSTERS, &c.cluster, "read") {
        return *refusal;
    }
    let cluster = json!({
        "id": id(&shared, CLUSTERS, &c.cluster), "name": c.cluster, "type": CLUSTERS, "location": "westeurope",
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "provisioningState": "Succeeded", "powerState": {"code": "Running"}, "kubernetesVersion": "1.34.2",
            "currentKubernetesVersion": "1.34.2", "disableLocalAccounts": true,
            "aadProfile": {"managed": true, "enableAzureRBAC": false},
            "agentPoolProfiles": [{"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D2s_v5", "enableAutoScaling": c.pool_limit.is_some(), "maxCount": c.pool_limit.unwrap_or(1)}],
            "apiServerAccessProfile": {"enablePrivateCluster": c.private, "disableRunCommand": c.run_command_disabled, "authorizedIPRanges": c.authorized_ranges},
        },
    });
    schema::CLUSTER.response(cluster)
}

async fn credential(State(shared): State<Shared>, Path(named): Path<Named>) -> Response {
    let c = &shared.0.config;
    let action = "listClusterUserCredential/action";
    if let Err(refusal) = allowed(&shared, &named, CLUSTERS, &c.cluster, action) {
        return *refusal;
    }
    match c.kubeconfig.as_deref().and_then(kubeconfig::cluster) {
        Some(cluster) => {
            let config = kubeconfig::for_user(&c.cluster, &c.tenant, &cluster);
            let value = testkit::base64(config.to_string().as_bytes());
            let credentials = json!({"kubeconfigs": [{"name": "clusterUser", "value": value}]});
            schema::CREDENTIALS.response(credentials)
        }
        None => refused(
            StatusCode::CONFLICT,
            "OperationNotAllowed",
            "The cluster is not running.",
        ),
    }
}
