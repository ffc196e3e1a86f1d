//! What `azure-deploy` replaces.

use crate::mapping::{Mapping, Peer, keep, lost, same, together, unneeded};

const CANARY: &str = "`canary: 20%` is a canary that is promoted or removed by the same step; there is no blue-green";
const ROLLING: &str = "a rollout is a rolling update; `health-path` or `health-url` verifies it, and a failed one is rolled back";
const NO_KUBECTL: &str = "the action has its own client";
const HELM: &str = "the action renders charts with its own Helm";

const fn rolling(old: &'static str) -> Mapping {
    lost(old, ROLLING)
}

const fn helm(old: &'static str) -> Mapping {
    unneeded(old, HELM)
}

const fn client(old: &'static str) -> Mapping {
    unneeded(old, NO_KUBECTL)
}

pub(crate) const K8S_DEPLOY: Peer = Peer {
    name: "Azure/k8s-deploy",
    version: "7.0.0",
    action: "azure-deploy",
    inputs: &[
        same("namespace")
            .note("a manifest with another namespace is rejected; `create-namespace` creates it"),
        together(
            "manifests",
            &["manifests"],
            "files, directories and globs, one per line; no URLs",
        ),
        together(
            "images",
            &["image", "registry", "also-deploy"],
            "set in the manifests by digest, and pushed if they are in Docker",
        ),
        together(
            "imagepullsecrets",
            &["image-pull-secret", "username", "password"],
            "created and kept up to date; or attach the registry to the cluster",
        ),
        unneeded("pull-images", "nothing is pulled"),
        lost("strategy", CANARY).unless(&["basic", "none"]),
        rolling("route-method").unless(&["service"]),
        rolling("version-switch-buffer").unless(&["0"]),
        rolling("traffic-split-method").unless(&["pod"]),
        rolling("traffic-split-annotations"),
        rolling("baseline-and-canary-replicas").unless(&["0"]),
        lost("percentage", CANARY).unless(&["0"]),
        lost("action", "a failed rollout is rolled back").unless(&["deploy"]),
        lost(
            "force",
            "conflicts with other owners of a field are reported",
        )
        .unless(&["false"]),
        unneeded("server-side", "objects are always applied by the server"),
        keep("timeout", "rollout-timeout"),
        same("token"),
        unneeded("annotate-resources", "there are no annotations"),
        unneeded("annotate-namespace", "there are no annotations"),
        together(
            "private-cluster",
            &["cluster-access"],
            "`true` is `run-command`",
        ),
        same("resource-group"),
        keep("name", "cluster"),
        lost("skip-tls-verify", "certificates are always verified").unless(&["false"]),
        lost("resource-type", "a fleet is not supported")
            .unless(&["Microsoft.ContainerService/managedClusters"]),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const K8S_BAKE: Peer = Peer {
    name: "Azure/k8s-bake",
    version: "4.1.1",
    action: "azure-deploy",
    inputs: &[
        together(
            "renderEngine",
            &["manifests"],
            "a directory with a kustomization, or a Helm chart, is rendered; `kompose` has no counterpart",
        ),
        together("kustomizationPath", &["manifests"], "the directory"),
        together("helmChart", &["manifests"], "the chart"),
        together(
            "overrideFiles",
            &["chart-values"],
            "the files, one per line",
        ),
        together(
            "overrides",
            &["chart-values"],
            "`name=value` in place of `name:value`, one per line",
        ),
        together("releaseName", &["release"], "the name of the release"),
        same("namespace"),
        lost("arguments", "kustomize runs with its defaults"),
        lost(
            "dockerComposeFile",
            "convert it with kompose in an earlier step",
        ),
        helm("helm-version"),
        client("kubectl-version"),
        unneeded("kompose-version", "there is no kompose"),
        unneeded("silent", "the log has what changes"),
    ],
    outputs: &[lost(
        "manifestsBundle",
        "`manifests` takes the kustomization itself",
    )],
    environment: &[],
};

pub(crate) const LOGIN: Peer = Peer {
    name: "Azure/login",
    version: "3.0.1",
    action: "azure-deploy",
    inputs: &[
        together(
            "creds",
            &["client-id", "tenant-id", "subscription-id", "client-secret"],
            "the fields of the JSON; prefer OIDC, which stores no secret",
        ),
        same("client-id"),
        same("tenant-id"),
        same("subscription-id"),
        unneeded("enable-AzPSSession", "no PowerShell is used"),
        together(
            "environment",
            &["resource-manager", "authority-host", "token-audience"],
            "of a sovereign cloud",
        ),
        lost("allow-no-subscriptions", "the cluster is in a subscription").unless(&["false"]),
        keep("audience", "token-audience"),
        lost("auth-type", "a managed identity of the runner is not used")
            .unless(&["SERVICE_PRINCIPAL"]),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const AKS_CONTEXT: Peer = Peer {
    name: "Azure/aks-set-context",
    version: "5.0.0",
    action: "azure-deploy",
    inputs: &[
        same("resource-group"),
        keep("cluster-name", "cluster"),
        keep("subscription", "subscription-id"),
        lost("admin", "the identity needs a role in the cluster, and no administrator's certificate is requested").unless(&["false"]),
        unneeded("use-kubelogin", "tokens for Entra are requested by the action"),
        unneeded("public-fqdn", "`cluster-access: run-command` reaches a private cluster"),
        lost("resource-type", "a fleet is not supported").unless(&["Microsoft.ContainerService/managedClusters"]),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const K8S_CONTEXT: Peer = Peer {
    name: "Azure/k8s-set-context",
    version: "5.0.1",
    action: "azure-deploy",
    inputs: &[
        lost("cluster-type", "a cluster of Azure Arc is not supported").unless(&["generic"]),
        lost("method", "pass a kubeconfig with a token as `kubeconfig`").unless(&["kubeconfig"]),
        same("kubeconfig"),
        lost("kubeconfig-encoding", "store the kubeconfig as plain text").unless(&["plaintext"]),
        lost("context", "the current context of the kubeconfig is used"),
        lost("k8s-url", "pass a kubeconfig with a token as `kubeconfig`"),
        lost(
            "k8s-secret",
            "pass a kubeconfig with a token as `kubeconfig`",
        ),
        lost("token", "pass a kubeconfig with a token as `kubeconfig`"),
        same("resource-group"),
        keep("cluster-name", "cluster"),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const DOCKER_LOGIN: Peer = Peer {
    name: "Azure/docker-login",
    version: "2",
    action: "azure-deploy",
    inputs: &[
        same("username")
            .note("of a registry outside of Azure, or with an admin user; OIDC needs none"),
        same("password")
            .note("of a registry outside of Azure, or with an admin user; OIDC needs none"),
        keep("login-server", "registry"),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const KUBECTL: Peer = Peer {
    name: "Azure/setup-kubectl",
    version: "6.0.0",
    action: "azure-deploy",
    inputs: &[
        client("version"),
        client("downloadBaseURL"),
        client("checksum"),
    ],
    outputs: &[lost("kubectl-path", NO_KUBECTL)],
    environment: &[],
};

pub(crate) const HELM_SETUP: Peer = Peer {
    name: "Azure/setup-helm",
    version: "6.0.0",
    action: "azure-deploy",
    inputs: &[
        helm("version"),
        helm("version-file"),
        unneeded("token", "no release is requested"),
        helm("downloadBaseURL"),
    ],
    outputs: &[lost("helm-path", HELM)],
    environment: &[],
};
