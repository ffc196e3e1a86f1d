//! Where the image and the manifests go: to Azure, or to another registry or cluster.

use actions_toolkit::{BadInput, Context, Inputs, Secret};
use azure::Cloud;
use azure::input::{address, id};
use oci::Credentials;

/// The registry and the cluster, and who signs in to Azure if either is there.
pub(crate) struct Target {
    pub(crate) registry: RegistryInput,
    pub(crate) cluster: ClusterInput,
    pub(crate) azure: Option<AzureInputs>,
}

/// The registry.
pub(crate) enum RegistryInput {
    /// A registry resource of Azure.
    Azure { name: String, group: Option<String> },
    /// Any registry, by its host.
    Host {
        host: String,
        credentials: Option<Credentials>,
    },
}

/// The cluster.
pub(crate) enum ClusterInput {
    /// A cluster resource of Azure.
    Azure {
        name: String,
        group: String,
        access: AccessInput,
    },
    /// Any cluster: the text of its kubeconfig.
    Kubeconfig(Secret),
}

/// How the API server of a cluster of Azure is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessInput {
    /// By the runner itself.
    Direct,
    /// By commands that Azure runs in the cluster.
    RunCommand,
}

/// Who signs in to Azure, and where.
pub(crate) struct AzureInputs {
    pub(crate) client: String,
    pub(crate) tenant: String,
    pub(crate) subscription: String,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) cloud: Cloud,
}

impl Target {
    /// Read and check the inputs.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let cluster = cluster(ctx, inputs)?;
        let registry = registry(ctx, inputs)?;
        let is_azure = matches!(registry, RegistryInput::Azure { .. })
            || matches!(cluster, ClusterInput::Azure { .. });
        let azure = is_azure.then(|| azure(ctx, inputs)).transpose()?;
        Ok(Self {
            registry,
            cluster,
            azure,
        })
    }
}

fn cluster(ctx: &Context, inputs: &Inputs) -> Result<ClusterInput, BadInput> {
    let access = access(inputs.required("cluster-access")?)?;
    let Some(kubeconfig) = inputs.secret("kubeconfig", ctx.log()) else {
        return Ok(ClusterInput::Azure {
            group: group("resource-group", inputs.required("resource-group")?)?,
            name: name("cluster", inputs.required("cluster")?)?,
            access,
        });
    };
    for other in ["cluster", "resource-group"] {
        if inputs.text(other).is_some() {
            let problem = format!("says which cluster, and so does `{other}`; give one of them");
            return Err(BadInput::new("kubeconfig", problem));
        }
    }
    if access == AccessInput::RunCommand {
        let problem = "goes with `cluster` and `resource-group`: it is Azure that runs commands in a cluster of its own";
        return Err(BadInput::new("cluster-access", problem));
    }
    Ok(ClusterInput::Kubeconfig(kubeconfig))
}

fn access(text: &str) -> Result<AccessInput, BadInput> {
    match text {
        "direct" => Ok(AccessInput::Direct),
        "run-command" => Ok(AccessInput::RunCommand),
        _ => Err(BadInput::new(
            "cluster-access",
            format!("`{text}` is neither `direct` nor `run-command`"),
        )),
    }
}

fn registry(ctx: &Context, inputs: &Inputs) -> Result<RegistryInput, BadInput> {
    let text = inputs.required("registry")?;
    let user = inputs.text("username");
    let password = inputs.secret("password", ctx.log());
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some(Credentials {
            username: user.to_owned(),
            password: password.expose().to_owned(),
        }),
        (None, None) => None,
        (Some(_), None) => return Err(BadInput::new("password", "goes with `username`")),
        (None, Some(_)) => return Err(BadInput::new("username", "goes with `password`")),
    };
    // The name of a resource has letters and digits only; a host has a dot or a port.
    let is_host = text.contains(['.', ':']);
    if is_host && (credentials.is_some() || !text.contains(".azurecr.")) {
        if text.contains('/') {
            let problem = format!(
                "`{text}` has a path or scheme in it; the host is wanted, and the path belongs to `repository`"
            );
            return Err(BadInput::new("registry", problem));
        }
        return Ok(RegistryInput::Host {
            host: text.to_owned(),
            credentials,
        });
    }
    if credentials.is_some() {
        let problem = format!(
            "goes with the host of a registry; the resource `{text}` is signed in to by `client-id`"
        );
        return Err(BadInput::new("username", problem));
    }
    Ok(RegistryInput::Azure {
        name: name("registry", text)?,
        group: inputs
            .text("registry-resource-group")
            .map(|text| group("registry-resource-group", text))
            .transpose()?,
    })
}

fn azure(ctx: &Context, inputs: &Inputs) -> Result<AzureInputs, BadInput> {
    Ok(AzureInputs {
        client: id("client-id", inputs.required("client-id")?)?,
        tenant: id("tenant-id", inputs.required("tenant-id")?)?,
        subscription: id("subscription-id", inputs.required("subscription-id")?)?,
        client_secret: inputs.secret("client-secret", ctx.log()),
        cloud: Cloud::new(
            &address("authority-host", inputs.required("authority-host")?)?,
            &address("resource-manager", inputs.required("resource-manager")?)?,
            inputs.required("token-audience")?,
        ),
    })
}

fn group(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains('/') {
        let problem = format!("`{text}` is a path; the name of the resource group is wanted");
        return Err(BadInput::new(input, problem));
    }
    Ok(text.to_owned())
}

fn name(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains(['.', '/']) {
        return Err(BadInput::new(
            input,
            format!(
                "`{text}` is a host or path; the name of the resource is wanted (`{}`)",
                text.split('.').next().unwrap_or_default()
            ),
        ));
    }
    Ok(text.to_owned())
}
