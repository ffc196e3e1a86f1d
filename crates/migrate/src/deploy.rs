//! Steps of k8s-deploy and kubectl as steps of `azure-deploy`.

use crate::plan::NewStep;
use crate::registry::Login;
use crate::shell::{Arguments, Command};
use crate::value::is_dynamic;

/// What a job knows of the cluster and of the identity that it uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    pub(crate) client_id: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) subscription_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    /// Inputs of a sovereign cloud.
    pub(crate) cloud: Vec<(&'static str, &'static str)>,
    pub(crate) audience: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) resource_group: Option<String>,
    pub(crate) kubeconfig: Option<String>,
}

/// What is deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Objects {
    pub(crate) manifests: Vec<String>,
    pub(crate) images: Vec<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) creates_namespace: bool,
    pub(crate) timeout: Option<String>,
}

impl Target {
    /// The endpoints of the cloud that Azure/login's `environment` names; `None` for one that has none.
    pub(crate) fn cloud(name: &str) -> Option<Vec<(&'static str, &'static str)>> {
        match name.to_ascii_lowercase().as_str() {
            "azurecloud" => Some(Vec::new()),
            "azureusgovernment" => Some(vec![
                ("resource-manager", "https://management.usgovcloudapi.net"),
                ("authority-host", "https://login.microsoftonline.us"),
                ("token-audience", "api://AzureADTokenExchangeUSGov"),
            ]),
            "azurechinacloud" => Some(vec![
                ("resource-manager", "https://management.chinacloudapi.cn"),
                ("authority-host", "https://login.chinacloudapi.cn"),
                ("token-audience", "api://AzureADTokenExchangeChina"),
            ]),
            _ => None,
        }
    }

    /// Set the inputs that name the cluster and sign in, or say what the job does not have.
    pub(crate) fn set(&self, new: &mut NewStep) -> Result<(), String> {
        let azure = [
            ("client-id", &self.client_id),
            ("tenant-id", &self.tenant_id),
            ("subscription-id", &self.subscription_id),
            ("client-secret", &self.client_secret),
            ("token-audience", &self.audience),
        ];
        for (name, value) in azure {
            if let Some(value) = value.as_ref().filter(|_| !new.has(name)) {
                new.set(name, value.clone());
            }
        }
        for (name, value) in &self.cloud {
            new.set(name, *value);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            new.set("kubeconfig", kubeconfig.clone());
            return Ok(());
        }
        if self.client_id.is_none() {
            return Err(
                "the job does not show which cluster it is: no azure/login, and no kubeconfig"
                    .to_owned(),
            );
        }
        for (name, value) in [
            ("resource-group", &self.resource_group),
            ("cluster", &self.cluster),
        ] {
            match value {
                _ if new.has(name) => {}
                Some(value) => new.set(name, value.clone()),
                None => return Err(format!("the job does not show the `{name}` of the cluster")),
            }
        }
        Ok(())
    }
}

/// Set the images and their registry. What could not be read is in `lost`.
pub(crate) fn set_images(
    new: &mut NewStep,
    old: Option<&str>,
    images: &[String],
    logins: &[Login],
    is_azure: bool,
    lost: &mut Vec<String>,
) {
    let Some((first, rest)) = images.split_first() else {
        return;
    };
    match old {
        Some(old) if rest.is_empty() => new.keep(old, "image"),
        Some(old) => new.replace(old, "image", first.clone()),
        None => new.set("image", first.clone()),
    }
    if !rest.is_empty() {
        new.set("also-deploy", crate::value::joined(rest));
    }
    let login = logins.iter().find(|login| login.is_for(first));
    let host = match first.split_once('/') {
        Some((host, _)) if host.contains(['.', ':', '$']) => host,
        _ => "docker.io",
    };
    if let Some((user, secret)) = login.and_then(|login| login.user.clone()) {
        new.set("registry", host);
        new.set("username", user);
        new.set("password", secret);
        return;
    }
    let azure = host.strip_suffix(".azurecr.io");
    // Another step signs in to a registry of Azure by its name.
    let by_name = || {
        logins
            .iter()
            .filter(|login| login.user.is_none())
            .find_map(|login| login.host.strip_suffix(".azurecr.io"))
    };
    match azure.or_else(|| {
        if is_dynamic(host) && is_azure {
            by_name()
        } else {
            None
        }
    }) {
        Some(name) => new.set("registry", name),
        None if is_dynamic(host) && is_azure => {
            new.set("registry", "${{ vars.AZURE_REGISTRY }}");
            lost.push(format!("the name of the registry of `{first}` is not in the job: set the variable `AZURE_REGISTRY`, or `registry`"));
        }
        None => new.set("registry", host),
    }
}

/// What commands of kubectl deploy, or what is not understood.
pub(crate) fn from_commands(commands: &[Command]) -> Result<Objects, String> {
    let mut objects = Objects::default();
    for command in commands {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        let pipe = words.iter().position(|word| *word == "|");
        let is_namespace = matches!(words[..], ["kubectl", "create", "namespace" | "ns", ..]);
        match words[..] {
            [
                "kustomize" | "./kustomize",
                "edit",
                "set",
                "image",
                ref images @ ..,
            ] => {
                let name = |image: &&str| {
                    image
                        .split_once('=')
                        .map_or(*image, |(_, name)| name)
                        .to_owned()
                };
                objects.images.extend(images.iter().map(name));
                continue;
            }
            [
                "kustomize" | "./kustomize" | "kubectl",
                "build" | "kustomize",
                directory,
                "|",
                "kubectl",
                "apply",
                "-f",
                "-",
            ] => {
                objects.manifests.push(directory.to_owned());
                continue;
            }
            _ => {}
        }
        if let Some(at) = pipe {
            let applies = matches!(words[at + 1..], ["kubectl", "apply", "-f", "-"]);
            if !is_namespace || !applies {
                return Err("it has a pipe".to_owned());
            }
        }
        if is_namespace {
            objects.namespace = words.get(3).map(|name| (*name).to_owned());
            objects.creates_namespace = true;
            continue;
        }
        objects.kubectl(command)?;
    }
    Ok(objects)
}

impl Objects {
    fn kubectl(&mut self, command: &Command) -> Result<(), String> {
        let switches = [
            "server-side",
            "force-conflicts",
            "record",
            "wait",
            "watch",
            "w",
            "current",
            "A",
            "all-namespaces",
            "validate",
        ];
        let short = [
            ("-f", "filename"),
            ("-k", "kustomize"),
            ("-n", "namespace"),
            ("-l", "selector"),
            ("-o", "output"),
        ];
        let arguments = Arguments::parse(command.get(1..).unwrap_or_default(), &switches, &short);
        let operands: Vec<_> = arguments.operands.iter().map(String::as_str).collect();
        if command.first().map(String::as_str) != Some("kubectl") {
            return Err(format!(
                "`{}` is not part of the deployment",
                command.first().map_or("", String::as_str)
            ));
        }
        if let Some(namespace) = arguments.option("namespace") {
            self.namespace = Some(namespace.to_owned());
        }
        match operands[..] {
            ["apply"] => {
                let files: Vec<_> = ["filename", "kustomize"]
                    .iter()
                    .flat_map(|name| arguments.all(name))
                    .collect();
                if files.is_empty() || files.iter().any(|file| file == "-" || file.contains("://"))
                {
                    return Err("`kubectl apply` has no file of the workspace".to_owned());
                }
                let known = [
                    "filename",
                    "kustomize",
                    "namespace",
                    "server-side",
                    "force-conflicts",
                    "record",
                    "wait",
                    "validate",
                ];
                if let Some((option, _)) = arguments
                    .options
                    .iter()
                    .find(|(name, _)| !known.contains(&name.as_str()))
                {
                    return Err(format!("`kubectl apply --{option}` is not known"));
                }
                self.manifests.extend(files);
            }
            ["set", "image", _, ref images @ ..] | ["set", "image", _, _, ref images @ ..]
                if !images.is_empty() =>
            {
                let images = images
                    .iter()
                    .filter_map(|image| image.split_once('='))
                    .map(|(_, image)| image.to_owned());
                self.images.extend(images);
            }
            ["rollout", "status", ..] => {
                self.timeout = arguments
                    .option("timeout")
                    .map(ToOwned::to_owned)
                    .or(self.timeout.take());
            }
            ["rollout", "restart", ..]
            | ["get" | "describe" | "version" | "cluster-info", ..]
            | ["config", "set-context" | "use-context", ..] => {}
            _ => {
                return Err(format!(
                    "`kubectl {}` is not known",
                    operands
                        .iter()
                        .take(2)
                        .copied()
                        .collect::<Vec<_>>()
                        .join(" ")
                ));
            }
        }
        Ok(())
    }
}

/// The cluster of `az aks get-credentials`.
pub(crate) fn credentials(command: &Command) -> Option<(String, String)> {
    let ["az", "aks", "get-credentials", ..] =
        command.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let switches = ["overwrite-existing", "admin", "only-show-errors"];
    let arguments = Arguments::parse(
        &command[3..],
        &switches,
        &[("-g", "resource-group"), ("-n", "name")],
    );
    Some((
        arguments.option("resource-group")?.to_owned(),
        arguments.option("name")?.to_owned(),
    ))
}
