//! Azure Resource Manager.
//!
//! Source: azure-rest-api-specs, Microsoft.ContainerRegistry 2025-11-01 (`Registries_Get`, `Registries_List`)
//! and Microsoft.ContainerService 2025-10-01 (`ManagedClusters_Get`, `ManagedClusters_ListClusterUserCredentials`).

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, bearer};

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

pub(super) fn router() -> Router<Shared> {
    let group = "/subscriptions/{subscription}/resourceGroups/{group}/providers";
    Router::new()
        .route("/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries", get(registries))
        .route(&format!("{group}/Microsoft.ContainerRegistry/registries/{{name}}"), get(registry))
        .route(&format!("{group}/Microsoft.ContainerService/managedClusters/{{name}}"), get(cluster))
        .route(&format!("{group}/Microsoft.ContainerService/managedClusters/{{name}}/listClusterUserCredential"), post(credential))
        .layer(from_fn(checked))
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"error": {"code": code, "message": message}})),
    )
        .into_response()
}

async fn checked(Query(version): Query<Version>, request: Request, next: Next) -> Response {
    if version.api_version.is_none() {
        return refused(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        );
    }
    if !bearer(request.headers()).starts_with("arm-") {
        return refused(
            StatusCode::UNAUTHORIZED,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        );
    }
    next.run(request).await
}

fn registry_of(shared: &Shared) -> Value {
    let c = &shared.0.config;
    json!({
        "id": format!("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ContainerRegistry/registries/{}", c.subscription, c.resource_group, c.registry),
        "name": c.registry, "type": "Microsoft.ContainerRegistry/registries", "location": "westeurope",
        "properties": {"loginServer": c.login_server, "provisioningState": "Succeeded", "adminUserEnabled": false, "roleAssignmentMode": "LegacyRegistryPermissions"},
    })
}

fn missing(kind: &str, group: &str, name: &str) -> Response {
    let message = format!(
        "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    refused(StatusCode::NOT_FOUND, "ResourceNotFound", &message)
}

type Resource = Path<(String, String, String)>;

fn known(shared: &Shared, path: &(String, String, String), name: &str) -> bool {
    let c = &shared.0.config;
    path.0 == c.subscription
        && path.1.eq_ignore_ascii_case(&c.resource_group)
        && path.2.eq_ignore_ascii_case(name)
}

async fn registries(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"value": [registry_of(&shared)]}))
}

async fn registry(State(shared): State<Shared>, Path(path): Resource) -> Response {
    if known(&shared, &path, &shared.0.config.registry) {
        return Json(registry_of(&shared)).into_response();
    }
    missing("Microsoft.ContainerRegistry/registries", &path.1, &path.2)
}

async fn cluster(State(shared): State<Shared>, Path(path): Resource) -> Response {
    let c = &shared.0.config;
    if !known(&shared, &path, &c.cluster) {
        return missing(
            "Microsoft.ContainerService/managedClusters",
            &path.1,
            &path.2,
        );
    }
    let cluster = json!({
        "name": c.cluster, "type": "Microsoft.ContainerService/ManagedClusters", "location": "westeurope",
        "properties": {
            "provisioningState": "Succeeded", "powerState": {"code": "Running"}, "kubernetesVersion": "1.34.2",
            "aadProfile": {"managed": true, "enableAzureRBAC": false},
            "apiServerAccessProfile": {"enablePrivateCluster": false, "authorizedIPRanges": c.authorized_ranges},
        },
    });
    Json(cluster).into_response()
}

async fn credential(State(shared): State<Shared>, Path(path): Resource) -> Response {
    let c = &shared.0.config;
    if !known(&shared, &path, &c.cluster) {
        return missing(
            "Microsoft.ContainerService/managedClusters",
            &path.1,
            &path.2,
        );
    }
    let read = c
        .kubeconfig
        .as_ref()
        .and_then(|file| std::fs::read_to_string(file).ok());
    let Some(given) = read.and_then(|text| serde_saphyr::from_str::<Value>(&text).ok()) else {
        return refused(
            StatusCode::CONFLICT,
            "OperationNotAllowed",
            "The cluster is not running.",
        );
    };
    // Cluster and authority only: a user signs in with a token of Entra.
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": c.cluster, "cluster": given.pointer("/clusters/0/cluster")}],
        "users": [{"name": "clusterUser", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin",
            "args": ["get-token", "--environment", "AzurePublicCloud", "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630", "--tenant-id", c.tenant],
        }}}],
        "contexts": [{"name": c.cluster, "context": {"cluster": c.cluster, "user": "clusterUser"}}],
        "current-context": c.cluster,
    });
    let value = crate::base64(config.to_string().as_bytes());
    Json(json!({"kubeconfigs": [{"name": "clusterUser", "value": value}]})).into_response()
}
