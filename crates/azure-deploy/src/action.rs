//! The declaration of inputs and outputs.

use actions_toolkit::{
    Action, Age, Example, GitHubToken, InputSet as _, List, OrNone, Output, Secret, Timeout,
    WorkspacePath, choice, inputs,
};
use azure::input::{Address, EntraId, EntraInputs};

use crate::request::{
    DeployedImage, HealthPath, HealthPort, HealthUrl, PreviewInput, Repository, Share, Stage,
    TaggedImage,
};

inputs! {
    /// The inputs, each valid by its type.
    pub(crate) struct Inputs {
        "Common" {
            /// Image to deploy: `repository:tag` in Docker, or with host or digest in a registry.
            image: DeployedImage,
            /// Name of the registry resource in Azure, or host of any other registry, such as `ghcr.io`.
            registry: String,
            /// Name of the cluster resource in Azure.
            cluster: Option<String>,
            /// Resource group of the cluster.
            resource_group: Option<String>,
            /// Kubernetes manifests, one per line: files, globs, directories, a kustomization, a Helm chart (directory, `.tgz`, `oci://`).
            manifests: Vec<WorkspacePath> = "k8s",
            /// Path that must respond at the Service, Ingress or HTTPRoute; `none` skips the health check.
            health_path: OrNone<HealthPath> = "/health",
        }
        "Azure sign-in" {
            /// ID of the subscription.
            subscription_id: Option<EntraId>,
            /// Secret of the application; without it the run signs in with OIDC, and nothing is stored.
            client_secret: Option<Secret>,
            /// URL of Resource Manager, for a sovereign cloud.
            resource_manager: Address = azure::RESOURCE_MANAGER,
            ..entra: EntraInputs,
        }
        "Registry and images" {
            /// More images to deploy, one per line, each as `image` has it.
            also_deploy: Vec<DeployedImage>,
            /// More images in Docker to push, one `repository:tag` per line.
            also_push: Vec<TaggedImage>,
            /// Repository of `image` in the registry and in the manifests; without it, the image's own.
            repository: Option<Repository>,
            /// Resource group of the registry; without it the registry is looked up in the subscription.
            registry_resource_group: Option<String>,
            /// User for a registry outside Azure, or for one with an admin user.
            username: Option<String>,
            /// Password or token of that user.
            password: Option<Secret>,
            /// User for the other registry that an image or the chart is copied from, unless it is public or in Azure.
            source_username: Option<String>,
            /// Password or token of that user.
            source_password: Option<Secret>,
            /// Name of a Secret with `username` and `password`, which is created for the pods to pull with.
            image_pull_secret: Option<String>,
            /// Whether the tag `latest` moves to a pushed or copied image once it is deployed and healthy.
            latest: bool = "true",
            /// Timeout of the push of each image.
            push_timeout: Timeout = "20m",
        }
        "Cluster and manifests" {
            /// `direct`, or `run-command` for a private cluster: Azure sends the requests from a pod in the cluster.
            cluster_access: Access = "direct",
            /// Content of a kubeconfig, for a cluster outside Azure; its user needs a token or a certificate.
            kubeconfig: Option<Secret>,
            /// Namespace of objects whose manifest has none; a manifest with another one is rejected.
            namespace: Option<String>,
            /// Name of the Helm release, `.Release.Name`; without it, the name of the chart.
            release: Option<String>,
            /// Values for the Helm chart, one per line: files of the checkout, and `NAME=value` as `helm --set` reads it.
            chart_values: Vec<String>,
            /// Whether bases of a kustomization are fetched: files by `https`, directories of GitHub repositories, each with a `ref`.
            remote_bases: bool = "false",
            /// Name of a preview, such as `pr-123`, which gets its own namespace; `true` for the pull request of the run.
            preview: Option<PreviewInput>,
            /// Time after which a preview without another deployment may be removed by the next run with `preview`.
            preview_age: Age = "72h",
            /// Whether namespaces that the manifests use and do not have are created.
            create_namespace: bool = "false",
            /// Whether pods are replaced when a ConfigMap or Secret of the manifests that they read changes.
            restart_on_config_change: bool = "false",
            /// Whether objects of the last deployment that the manifests no longer have are removed once the new version is healthy.
            prune: bool = "false",
            /// Variables for the deployed containers, one `NAME=value` per line, with `{image}`, `{digest}` and `{time}`.
            environment_variables: Vec<String>,
            /// Whether the changes are only shown: nothing is pushed, applied or reported to GitHub.
            dry_run: bool = "false",
        }
        "Rollout and health" {
            /// Timeout of the rollout of all workloads.
            rollout_timeout: Timeout = "5m",
            /// Restarts of a container that are tolerated, counted from scratch once it has run for ten minutes; while another workload is not ready, any number is.
            max_restarts: u16 = "1",
            /// Shares of the pods that get the new version first, and are observed: `10%,50%`.
            canary: List<Share>,
            /// Time for which each share of `canary` is observed.
            canary_pause: Timeout = "60s",
            /// Timeout for the address of the load balancer, Ingress or Gateway.
            address_timeout: Timeout = "5m",
            /// Port of the Service that is queried, by number or name; by default the one that most likely speaks HTTP.
            health_port: Option<HealthPort>,
            /// URL that must respond instead, if the manifests do not have it: `https://shop.example/health`.
            health_url: Option<HealthUrl>,
            /// Whether the health check accepts any TLS certificate, such as a self-signed one.
            health_insecure: bool = "false",
            /// Timeout for three healthy responses in a row.
            health_timeout: Timeout = "60s",
            /// Expected `commit` in the health response, if it has one; for an image in Docker, by default that of the run.
            expect_commit: Option<String>,
        }
        "GitHub" {
            /// Environment on GitHub that shows the deployment; unnecessary in a job that has an `environment:`.
            environment: Option<String>,
            /// Stage under which GitHub records what runs, `production` or `production/westeurope`; requires `artifact-metadata: write`.
            deployment_record: Option<Stage>,
            /// Token for `environment` (`deployments: write`), `deployment-record`, `preview` (`pull-requests: write`) and `remote-bases`.
            token: Option<GitHubToken>,
        }
    }
}

choice! {
    /// How the API server of a cluster in Azure is reached.
    #[derive(PartialEq, Eq)]
    pub(crate) enum Access {
        /// By the runner itself.
        Direct = "direct",
        /// By commands that Azure runs in the cluster.
        RunCommand = "run-command",
    }
}

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "azure-deploy",
    about: "Push an image to Azure Container Registry, deploy it to Azure Kubernetes Service, and verify that it is healthy, or roll back.",
    inputs: Inputs::declared,
    replaced: |input| peers::hint("azure-deploy", input),
    outputs: &[
        Output::new(
            "result",
            "`deployed`, `removed` (the preview of a closed pull request, or those that a schedule removes), `planned` (`dry-run`), `failed` (see `rolled-back`) or `error`.",
        ),
        Output::new("image", "Deployed image by digest."),
        Output::new("digest", "Digest of the deployed image in the registry."),
        Output::new("url", "URL of the service."),
        Output::new(
            "ip",
            "IP address or host name of the load balancer, Ingress or Gateway.",
        ),
        Output::new("revision", "Revision of the Deployment."),
        Output::new("previous-image", "Image that was deployed before."),
        Output::new(
            "rolled-back",
            "`true` if the previous version was restored.",
        ),
        Output::new(
            "duration",
            "Seconds from the start of the push to the verdict.",
        ),
    ],
    examples: &[
        Example::new(
            "Deploy the manifests in `k8s` to the cluster of the kubeconfig in `INPUT_KUBECONFIG`",
            "--image ghcr.io/octo-org/app:v1 --manifests k8s",
        ),
        Example::new(
            "Show what that would change",
            "--image ghcr.io/octo-org/app:v1 --manifests k8s --dry-run",
        ),
    ],
};
