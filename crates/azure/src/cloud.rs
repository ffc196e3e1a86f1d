//! The clouds of Azure: the URLs of Entra and Resource Manager.

use http_client::Url;

use crate::Scope;

/// URL of Entra in the public cloud.
pub const AUTHORITY: &str = "https://login.microsoftonline.com";
/// URL of Resource Manager in the public cloud.
pub const RESOURCE_MANAGER: &str = "https://management.azure.com";
/// Audience that a federated credential expects in the public cloud
/// (github.com/Azure/login, README: each cloud has its own).
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The registries of each cloud (learn.microsoft.com/azure/container-registry, the sovereign clouds:
/// `az cloud show --query suffixes.acrLoginServerEndpoint`).
pub(crate) const REGISTRIES: &[(&str, &str)] = &[
    (PUBLIC, "*.azurecr.io"),
    (GOVERNMENT, "*.azurecr.us"),
    (CHINA, "*.azurecr.cn"),
];
/// Where registries store their content (learn.microsoft.com/azure/container-registry/container-registry-firewall-access-rules).
pub(crate) const STORAGE: &[(&str, &str)] = &[
    (PUBLIC, "*.blob.core.windows.net"),
    (GOVERNMENT, "*.blob.core.usgovcloudapi.net"),
    (CHINA, "*.blob.core.chinacloudapi.cn"),
];
/// The API servers of clusters (learn.microsoft.com/azure/aks/outbound-rules-control-egress).
pub(crate) const API_SERVERS: &[(&str, &str)] = &[
    (PUBLIC, "*.azmk8s.io"),
    (GOVERNMENT, "*.cx.aks.containerservice.azure.us"),
    (CHINA, "*.cx.prod.service.azk8s.cn"),
];
const PUBLIC: &str = "the public cloud";
const GOVERNMENT: &str = "Azure Government";
const CHINA: &str = "Azure China";

/// A cloud of Azure. [`Cloud::default`] is the public one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    authority: String,
    resource_manager: String,
    audience: String,
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new(AUTHORITY, RESOURCE_MANAGER, AUDIENCE)
    }
}

impl Cloud {
    /// The cloud whose Entra is at `authority_host` and whose Resource Manager is at `resource_manager`
    /// (both `https://…`), and whose federated credentials expect `audience`.
    pub fn new(authority_host: &str, resource_manager: &str, audience: &str) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self {
            authority: base(authority_host),
            resource_manager: base(resource_manager),
            audience: audience.to_owned(),
        }
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn resource_manager(&self) -> &str {
        &self.resource_manager
    }

    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// What the hosts of its registries end in. An Entra of another name may be that of any cloud.
    pub(crate) fn registry_suffixes(&self) -> Vec<&'static str> {
        let host = Url::parse(&self.authority).ok();
        let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
        let cloud = match host.rsplit('.').next() {
            Some("com") => Some(PUBLIC),
            Some("us") => Some(GOVERNMENT),
            Some("cn") => Some(CHINA),
            _ => None,
        };
        let own = REGISTRIES
            .iter()
            .filter(|(name, _)| cloud.is_none_or(|cloud| cloud == *name));
        own.map(|(_, hosts)| hosts.trim_start_matches('*'))
            .collect()
    }

    /// The value of a token request's `scope`.
    pub(crate) fn scope(&self, scope: Scope) -> String {
        match scope {
            // A fake on a loopback port is not a resource of Entra.
            Scope::ResourceManager if self.resource_manager.starts_with("http://") => {
                format!("{RESOURCE_MANAGER}/.default")
            }
            Scope::ResourceManager => format!("{}/.default", self.resource_manager),
            // github.com/Azure/acr, docs/AAD-OAuth.md
            Scope::Registry => "https://containerregistry.azure.net/.default".into(),
            // github.com/Azure/kubelogin, docs/book/src/concepts/aks.md
            Scope::Cluster => "6dae42f8-4368-4678-94ff-3960e28e3630/.default".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_follows_the_cloud() {
        let government = Cloud::new(
            "https://login.microsoftonline.us/",
            "https://management.usgovcloudapi.net/",
            "x",
        );
        assert_eq!(government.authority(), "https://login.microsoftonline.us");
        let table = [
            (
                Cloud::default(),
                Scope::ResourceManager,
                "https://management.azure.com/.default",
            ),
            (
                government.clone(),
                Scope::ResourceManager,
                "https://management.usgovcloudapi.net/.default",
            ),
            (
                Cloud::new("http://127.0.0.1:1", "http://127.0.0.1:1", AUDIENCE),
                Scope::ResourceManager,
                "https://management.azure.com/.default",
            ),
            (
                government,
                Scope::Cluster,
                "6dae42f8-4368-4678-94ff-3960e28e3630/.default",
            ),
        ];
        for (cloud, scope, value) in table {
            assert_eq!(cloud.scope(scope), value);
        }
    }
}
