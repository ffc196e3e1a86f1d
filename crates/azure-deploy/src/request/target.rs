//! The registry and the cluster: in Azure, or elsewhere.

use actions_toolkit::{BadInput, Secret, both};
use azure::Cloud;
use azure::input::{EntraId, EntraInputs};
use kube::config::{Context, Kubeconfig};
use oci::Credentials;

use crate::action::{Access, Inputs};

/// The registry and the cluster, and the sign-in to Azure if either is there.
pub(crate) struct Target {
    pub(crate) registry: RegistryTarget,
    pub(crate) cluster: ClusterTarget,
    pub(crate) azure: Option<AzureTarget>,
}

/// The registry.
#[derive(Clone)]
pub(crate) enum RegistryTarget {
    /// A registry resource in Azure.
    Azure { name: String, group: Option<String> },
    /// Any registry, by its host.
    Host {
        host: String,
        credentials: Option<Credentials>,
    },
}

/// The cluster.
pub(crate) enum ClusterTarget {
    /// A cluster resource in Azure.
    Azure {
        name: String,
        group: String,
        access: Access,
    },
    /// Any cluster: the content of its kubeconfig.
    Kubeconfig(Secret),
}

/// The application that signs in to Azure, and the cloud.
pub(crate) struct AzureTarget {
    pub(crate) client: String,
    pub(crate) tenant: String,
    pub(crate) subscription: String,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) cloud: Cloud,
}

impl Target {
    /// Check which inputs go together.
    pub(crate) fn from_inputs(inputs: &Inputs) -> Result<Self, BadInput> {
        let cluster = cluster(inputs)?;
        let registry = registry(inputs)?;
        let is_azure = matches!(registry, RegistryTarget::Azure { .. })
            || matches!(cluster, ClusterTarget::Azure { .. });
        let azure = is_azure.then(|| azure(inputs)).transpose()?;
        Ok(Self {
            registry,
            cluster,
            azure,
        })
    }
}

impl ClusterTarget {
    /// The namespace of the kubeconfig's context; one that cannot be read is reported when it is used.
    pub(crate) fn namespace(&self) -> Option<String> {
        match self {
            Self::Azure { .. } => None,
            Self::Kubeconfig(text) => context(text)?.namespace,
        }
    }

    /// The name of the cluster: of the resource, or what the kubeconfig's context calls it.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Azure { name, .. } => Some(name.clone()),
            Self::Kubeconfig(text) => Some(context(text)?.cluster),
        }
    }
}

// The current context.
fn context(kubeconfig: &Secret) -> Option<Context> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig.expose()).ok()?;
    let current = kubeconfig.current_context?;
    let mut contexts = kubeconfig.contexts.into_iter();
    contexts.find(|context| context.name == current)?.context
}

fn cluster(inputs: &Inputs) -> Result<ClusterTarget, BadInput> {
    let access = inputs.cluster_access;
    let Some(kubeconfig) = &inputs.kubeconfig else {
        let required = |input, value: &Option<String>| {
            let value = value.clone();
            value.ok_or_else(|| BadInput::new(input, "is required"))
        };
        let group_input = Inputs::resource_group;
        return Ok(ClusterTarget::Azure {
            group: group(group_input, &required(group_input, &inputs.resource_group)?)?,
            name: name(
                Inputs::cluster,
                &required(Inputs::cluster, &inputs.cluster)?,
            )?,
            access,
        });
    };
    for (other, value) in [
        (Inputs::cluster, &inputs.cluster),
        (Inputs::resource_group, &inputs.resource_group),
    ] {
        if value.is_some() {
            let problem = format!("names a cluster, and so does `{other}`; use one of them");
            return Err(BadInput::new(Inputs::kubeconfig, problem));
        }
    }
    if access == Access::RunCommand {
        let problem = "`run-command` requires `cluster` and `resource-group`: Azure runs commands only in its own clusters";
        return Err(BadInput::new(Inputs::cluster_access, problem));
    }
    Ok(ClusterTarget::Kubeconfig(kubeconfig.clone()))
}

fn registry(inputs: &Inputs) -> Result<RegistryTarget, BadInput> {
    let text = inputs.registry.as_str();
    let login = both(
        (Inputs::username, inputs.username.as_ref()),
        (Inputs::password, inputs.password.as_ref()),
    )?;
    let credentials = login.map(|(username, password)| Credentials {
        username: username.clone(),
        password: password.expose().to_owned(),
    });
    // The name of a resource has letters and digits only; a host has a dot or a port.
    let is_host = text.contains(['.', ':']);
    if is_host && (credentials.is_some() || !text.contains(".azurecr.")) {
        if text.contains('/') {
            let problem = format!(
                "`{text}` has a path or scheme; use the host alone, and `repository` for the path"
            );
            return Err(BadInput::new(Inputs::registry, problem));
        }
        return Ok(RegistryTarget::Host {
            host: text.to_owned(),
            credentials,
        });
    }
    if credentials.is_some() {
        let problem =
            format!("requires the host of a registry; the resource `{text}` uses `client-id`");
        return Err(BadInput::new(Inputs::username, problem));
    }
    let group_input = Inputs::registry_resource_group;
    let resource_group = inputs.registry_resource_group.as_deref();
    Ok(RegistryTarget::Azure {
        name: name(Inputs::registry, text)?,
        group: resource_group
            .map(|text| group(group_input, text))
            .transpose()?,
    })
}

fn azure(inputs: &Inputs) -> Result<AzureTarget, BadInput> {
    let required = |input, id: &Option<EntraId>| {
        let id = id.as_ref().map(|id| id.0.clone());
        id.ok_or_else(|| BadInput::new(input, "is required"))
    };
    let entra = &inputs.entra;
    Ok(AzureTarget {
        client: required(EntraInputs::client_id, &entra.client_id)?,
        tenant: required(EntraInputs::tenant_id, &entra.tenant_id)?,
        subscription: required(Inputs::subscription_id, &inputs.subscription_id)?,
        client_secret: inputs.client_secret.clone(),
        cloud: entra.cloud(&inputs.resource_manager.0),
    })
}

fn group(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains('/') {
        let problem = format!("`{text}` is a path; use the name of the resource group");
        return Err(BadInput::new(input, problem));
    }
    Ok(text.to_owned())
}

fn name(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains(['.', '/']) {
        return Err(BadInput::new(
            input,
            format!(
                "`{text}` is a host or path; use the name of the resource (`{}`)",
                text.split('.').next().unwrap_or_default()
            ),
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_and_the_cluster_are_those_of_the_current_context() {
        let log = actions_toolkit::Log::sink();
        let target = |text: &str| ClusterTarget::Kubeconfig(Secret::new(text, &log));
        let namespace = |text: &str| target(text).namespace();
        let contexts = "contexts: [{name: a, context: {cluster: c, user: u, namespace: web}}, {name: b, context: {cluster: c, user: u}}]";
        assert_eq!(
            namespace(&format!("current-context: a\n{contexts}")).as_deref(),
            Some("web")
        );
        assert_eq!(namespace(&format!("current-context: b\n{contexts}")), None);
        let cluster = target(&format!("current-context: b\n{contexts}")).name();
        assert_eq!(cluster.as_deref(), Some("c"));
        assert_eq!(namespace("not a kubeconfig"), None);
    }
}
