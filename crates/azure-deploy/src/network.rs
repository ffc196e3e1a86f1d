//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use azure::network::{API_SERVER, ENTRA, OIDC, REGISTRY, REGISTRY_STORAGE};

use crate::action::Inputs;

/// The declaration from which `docs/network.md` is generated.
pub const NETWORK: Network = &[
    Part {
        when: &[When::Empty(Inputs::client_secret)],
        connections: &[OIDC],
    },
    Part {
        when: &[],
        connections: &[
            ENTRA,
            Connection {
                host: Host::UrlInput(Inputs::resource_manager),
                by: By::Step,
                when: &[],
                purpose: "Azure Resource Manager",
                sends: "access token of Entra; with `cluster-access: run-command`, the objects",
            },
            REGISTRY,
            by_docker(REGISTRY),
            by_docker(REGISTRY_STORAGE),
        ],
    },
    Part {
        when: &[When::Case("`registry` is a host")],
        connections: &[registry(By::Step), registry(By::Docker)],
    },
    Part {
        when: &[When::Case("`image` is in another registry")],
        connections: &[Connection {
            host: Host::ImageInput(Inputs::image),
            by: By::Step,
            when: &[],
            purpose: "registry that the image is copied from",
            sends: "`source-password`, or an access token of Entra",
        }],
    },
    Part {
        when: &[When::Case("`manifests` has a chart in a registry")],
        connections: &[Connection {
            host: Host::Found("registry of the chart, and the storage that it redirects to"),
            by: By::Step,
            when: &[],
            purpose: "Helm chart",
            sends: "`password` or `source-password` of that registry, or an access token of Entra; nothing to the storage",
        }],
    },
    Part {
        when: &[
            When::Is(Inputs::remote_bases, "true"),
            When::Case("a kustomization refers to them"),
        ],
        connections: &[
            Connection {
                purpose: "repository of a base; of a GitHub Enterprise Server, the host of `GITHUB_API_URL`",
                sends: "`token`",
                ..github::network::API
            },
            Connection {
                host: Host::Name("codeload.github.com"),
                by: By::Step,
                when: &[],
                purpose: "archive of that repository, to which the API redirects",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("host of a file, and the storage that it redirects to"),
                by: By::Step,
                when: &[],
                purpose: "file of objects",
                sends: "nothing",
            },
        ],
    },
    Part {
        when: &[
            When::Empty(Inputs::kubeconfig),
            When::Is(Inputs::cluster_access, "direct"),
        ],
        connections: &[API_SERVER],
    },
    Part {
        when: &[],
        connections: &[
            Connection {
                host: Host::Found("the server of the `kubeconfig`"),
                by: By::Step,
                when: &[When::Set(Inputs::kubeconfig)],
                purpose: "API server of the cluster",
                sends: "the user's token or certificate; objects",
            },
            Connection {
                host: Host::UrlInput(Inputs::health_url),
                by: By::Step,
                when: &[When::Set(Inputs::health_url)],
                purpose: "health check",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("address and port of the Service, Ingress or Gateway"),
                by: By::Step,
                when: &[When::Not(Inputs::health_path, "none")],
                purpose: "health check",
                sends: "nothing",
            },
        ],
    },
    Part {
        when: &[When::Set(Inputs::environment)],
        connections: &[github::network::API],
    },
    Part {
        when: &[When::Set(Inputs::deployment_record)],
        connections: &[github::network::API],
    },
    Part {
        when: &[When::Set(Inputs::preview)],
        connections: &[github::network::API],
    },
];

const fn by_docker(connection: Connection) -> Connection {
    Connection {
        by: By::Docker,
        ..connection
    }
}

const fn registry(by: By) -> Connection {
    Connection {
        host: Host::ImageInput(Inputs::registry),
        by,
        when: &[],
        purpose: "registry",
        sends: "`password`; images",
    }
}
