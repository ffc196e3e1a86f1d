//! Who the run is to Azure.

use actions_toolkit::Context;
use azure::{Credential, Directory, ResourceManager, Scope};

use crate::request::AzureInputs;

/// Signed in: tokens come from the directory, facts from Resource Manager.
pub(crate) struct Login<'a> {
    pub(crate) directory: Directory<'a>,
    pub(crate) manager: ResourceManager,
}

impl<'a> Login<'a> {
    /// Sign in.
    ///
    /// # Errors
    /// When Entra refuses; with the values that the application lacks.
    pub(crate) async fn new(ctx: &'a Context, azure: &AzureInputs) -> anyhow::Result<Self> {
        let (credential, by) = match &azure.client_secret {
            Some(secret) => (Credential::ClientSecret(secret.clone()), "a client secret"),
            None => (Credential::Federated, "OIDC"),
        };
        let directory = Directory::new(ctx, &azure.cloud, &azure.tenant, &azure.client, credential);
        let token = directory.token(Scope::ResourceManager).await?;
        ctx.log()
            .info(format!("signed in to Azure as {} by {by}", azure.client));
        let manager = ResourceManager::new(
            ctx.http()?.clone(),
            &azure.cloud,
            &azure.subscription,
            token,
        );
        Ok(Self { directory, manager })
    }
}
