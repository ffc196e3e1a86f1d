//! Who the run is to Azure.

use actions_toolkit::Context;
use azure::{Credential, Directory, ResourceManager, Scope};

use crate::request::AzureInputs;

/// Signed in: tokens come from the directory, facts from Resource Manager.
pub(crate) struct Login {
    pub(crate) directory: Directory,
    pub(crate) manager: ResourceManager,
}

impl Login {
    /// Sign in.
    ///
    /// # Errors
    /// When Entra refuses; with the values that the application lacks.
    pub(crate) async fn new(ctx: &Context, azure: &AzureInputs) -> anyhow::Result<Self> {
        let (credential, by) = match &azure.client_secret {
            Some(secret) => (Credential::ClientSecret(secret.clone()), "a client secret"),
            None => (Credential::Federated, "OIDC"),
        };
        let directory =
            Directory::new(ctx, &azure.cloud, &azure.tenant, &azure.client, credential)?;
        // Whether it may sign in at all is known before anything else is asked.
        directory.token(Scope::ResourceManager).await?;
        ctx.log()
            .info(format!("signed in to Azure as {} by {by}", azure.client));
        let manager = ResourceManager::new(&directory, &azure.cloud, &azure.subscription);
        Ok(Self { directory, manager })
    }
}
