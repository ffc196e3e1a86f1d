//! The resources of this Azure.

use std::path::PathBuf;

/// The tenant and the subscription.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// The tenant's id.
    pub tenant: String,
    /// The application's id.
    pub client: String,
    /// The application's secret, if it has one.
    pub client_secret: Option<String>,
    /// The subject of the federated credential.
    pub subject: String,
    /// The subject that the issuer gives this run.
    pub run_subject: String,
    /// The audience of the federated credential.
    pub audience: String,
    /// Lifetime of an OIDC token, in seconds; below zero, it has expired when it is issued.
    pub run_token_life: i64,
    /// The subscription's id.
    pub subscription: String,
    /// Operations that the identity has no role for, as `…/listClusterUserCredential/action`: parts of
    /// their names.
    pub denied: Vec<String>,
    /// The resource group of both resources.
    pub resource_group: String,
    /// The registry's name.
    pub registry: String,
    /// Its login server.
    pub login_server: String,
    /// The cluster's name.
    pub cluster: String,
    /// A kubeconfig with the cluster's address and CA certificate; read on each request.
    pub kubeconfig: Option<PathBuf>,
    /// Address ranges that may reach the API server, as `GET managedClusters` reports them.
    pub authorized_ranges: Vec<String>,
    /// Whether `GET managedClusters` reports a private cluster.
    pub private: bool,
    /// The most nodes of a pool, which has the cluster autoscaler then, as `GET managedClusters` reports it.
    pub pool_limit: Option<u32>,
    /// Whether the cluster runs no commands.
    pub run_command_disabled: bool,
    /// The bearer token of a run's requests for OIDC tokens.
    pub oidc_request_token: String,
    /// The token that the cluster accepts.
    pub cluster_token: String,
    /// Whether that one expires, as all others do: a real API server would need Entra to know that.
    pub cluster_tokens_end: bool,
    /// Lifetime of an access token, in seconds.
    pub token_life: i64,
}

impl AzureConfig {
    /// The registry `seaworthy` and the cluster `seaworthy` in the group `seaworthy`, and a federated
    /// credential for deployments to the environment `production` of `octo-org/app`.
    pub fn new(tenant: &str, client: &str, subscription: &str) -> Self {
        let subject = "repo:octo-org/app:environment:production";
        Self {
            tenant: tenant.into(),
            client: client.into(),
            client_secret: None,
            subject: subject.into(),
            run_subject: subject.into(),
            audience: "api://AzureADTokenExchange".into(),
            run_token_life: 300,
            subscription: subscription.into(),
            denied: Vec::new(),
            resource_group: "seaworthy".into(),
            registry: "seaworthy".into(),
            login_server: "seaworthy.azurecr.io".into(),
            cluster: "seaworthy".into(),
            kubeconfig: None,
            authorized_ranges: Vec::new(),
            private: false,
            pool_limit: None,
            run_command_disabled: false,
            oidc_request_token: "oidc-request-token".into(),
            cluster_token: "cluster-token".into(),
            cluster_tokens_end: false,
            token_life: 3599,
        }
    }
}
