//! The declaration.

use actions_toolkit::{Action, Input, Output};

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "azure-deploy",
    about: "Push an image to Azure Container Registry, deploy it to Azure Kubernetes Service, prove that it serves, or go back.",
    inputs: || {
        vec![
        Input::new("image", "The image to deploy, in Docker: `repository:tag`.").required(),
        Input::new("also-push", "Further images of Docker to push, one per line."),
        Input::new("repository", "The repository that `image` goes to in the registry, and that the manifests name; without it, the image's own."),
        Input::new("client-id", "The id of the application in Entra that the run signs in as; needed for a registry or cluster of Azure."),
        Input::new("tenant-id", "The id of the directory."),
        Input::new("subscription-id", "The id of the subscription."),
        Input::new("client-secret", "A secret of the application. Leave it empty: the run then signs in with OIDC, and nothing is stored.").secret(),
        Input::new("registry", "The name of the registry resource of Azure, or the host of any other registry: `ghcr.io`.").required(),
        Input::new("username", "The user of a registry that is not signed in to by `client-id`."),
        Input::new("password", "The user's password or token.").secret(),
        Input::new("registry-resource-group", "The registry's resource group; without it the registry is looked up in the subscription."),
        Input::new("resource-group", "The cluster's resource group."),
        Input::new("cluster", "The name of the cluster resource."),
        Input::new("cluster-access", "`direct`, or `run-command`: the runner can't reach the API server (a private cluster), so Azure has a pod in the cluster ask it.").default("direct"),
        Input::new("kubeconfig", "The text of a kubeconfig, for any other cluster; its user signs in with a token or a certificate.").secret(),
        Input::new("manifests", "Kubernetes manifests: files and folders, one per line; a folder with a kustomization is rendered by kustomize.").default("k8s"),
        Input::new("environment-variables", "Variables for the containers that get the image, one `NAME=value` per line; `{image}`, `{digest}` and `{time}` are filled in; a deployment that would change nothing else keeps the time."),
        Input::new("namespace", "The namespace of objects whose manifest names none; a manifest that names another one is refused."),
        Input::new("latest", "Whether the tag `latest` moves to the image after it has been proven to serve.").default("true"),
        Input::new("health-path", "The path that must answer under the service's address; `none` leaves the question out.").default("/health"),
        Input::new("expect-commit", "What the answer's `commit` must be, if it has one; without it, the run's commit."),
        Input::new("push-timeout", "The limit for the push of an image.").default("20m"),
        Input::new("rollout-timeout", "The limit for the rollout: `90s`, `5m`.").default("5m"),
        Input::new("address-timeout", "The limit for the load balancer's address.").default("5m"),
        Input::new("health-timeout", "The limit for a healthy answer.").default("60s"),
        Input::new("environment", "The environment of GitHub that is told of the deployment, its state and its address. A job with an `environment:` of its own does not need it."),
        Input::new("token", "The token to tell it with: `deployments: write`.").secret(),
        Input::new("authority-host", "Where Entra signs in: another one for a sovereign cloud.").default(azure::AUTHORITY),
        Input::new("resource-manager", "Where Resource Manager is: another one for a sovereign cloud.").default(azure::RESOURCE_MANAGER),
        Input::new("token-audience", "The audience of the run's OIDC token: another one for a sovereign cloud.").default(azure::AUDIENCE),
    ]
    },
    outputs: &[
        Output::new(
            "result",
            "`deployed`, `failed` (the version was refused, see `rolled-back`) or `error`.",
        ),
        Output::new("image", "The deployed image by digest."),
        Output::new("digest", "Its digest in the registry."),
        Output::new("url", "The address of the service."),
        Output::new("ip", "The load balancer's IP address, or its host name."),
        Output::new("revision", "The revision of the Deployment that serves."),
        Output::new("previous-image", "The image that served before."),
        Output::new(
            "rolled-back",
            "`true` if the previous version was put back.",
        ),
        Output::new("duration", "The seconds from the push to the verdict."),
    ],
};
