//! What the sign-in to Azure and its services connects to.

use actions_toolkit::network::{By, Connection, GITHUB_OIDC, Host};

use crate::cloud::{API_SERVERS, REGISTRIES, STORAGE};
use crate::input::EntraInputs;

/// GitHub's OIDC service.
pub const OIDC: Connection = Connection {
    host: Host::Name(GITHUB_OIDC),
    by: By::Step,
    when: &[],
    purpose: "OIDC token of the run; the runner names the host",
    sends: "request token of the job",
};

/// Entra.
pub const ENTRA: Connection = Connection {
    host: Host::UrlInput(EntraInputs::authority_host),
    by: By::Step,
    when: &[],
    purpose: "access tokens of Entra",
    sends: "OIDC token, or `client-secret`",
};

/// A registry of Azure, as the action itself uses it.
pub const REGISTRY: Connection = Connection {
    host: Host::Clouds(REGISTRIES),
    by: By::Step,
    when: &[],
    purpose: "Azure Container Registry: its own name is enough",
    sends: "access token of Entra, then the registry's own; manifests",
};

/// Where that registry stores its content.
pub const REGISTRY_STORAGE: Connection = Connection {
    host: Host::Clouds(STORAGE),
    by: By::Step,
    when: &[],
    purpose: "content of the registry; with dedicated data endpoints, `REGISTRY.REGION.data.azurecr.io` instead",
    sends: "nothing",
};

/// The API server of a cluster of Azure.
pub const API_SERVER: Connection = Connection {
    host: Host::Clouds(API_SERVERS),
    by: By::Step,
    when: &[],
    purpose: "API server of the cluster: its own name is enough; a private one has another",
    sends: "access token of Entra, or the cluster's certificate; objects",
};
