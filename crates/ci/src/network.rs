//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use github::GitHubInputs;
use trivy::network::DATABASE;

use crate::action::Inputs;

/// The declaration from which `docs/network.md` is generated.
pub const NETWORK: Network = &[
    Part {
        when: &[When::Set(GitHubInputs::token)],
        connections: &[github::network::API],
    },
    Part {
        when: &[],
        connections: &[
            Connection {
                host: Host::Found("registries of the images in `FROM` and `# syntax=` lines"),
                by: By::Docker,
                when: &[],
                purpose: "base images",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("hosts that commands of the Dockerfile connect to"),
                by: By::Docker,
                when: &[],
                purpose: "packages, such as `deb.debian.org:80` for `apt-get`, `pypi.org:443` and `files.pythonhosted.org:443` for `pip`",
                sends: "`build-secrets`, where a command sends them",
            },
            Connection {
                host: Host::Found("hosts that the application connects to"),
                by: By::Docker,
                when: &[When::Not(Inputs::health_path, "none")],
                purpose: "smoke test; tests have no network",
                sends: "nothing",
            },
            Connection {
                host: Host::ImageInput(Inputs::cache_from),
                by: By::Docker,
                when: &[When::Set(Inputs::cache_from)],
                purpose: "cache of an earlier build",
                sends: "nothing",
            },
        ],
    },
    Part {
        when: &[When::Set(Inputs::lock_file)],
        connections: DATABASE,
    },
    Part {
        when: &[
            When::Set(Inputs::lock_file),
            When::Case("Trivy is not in `PATH`"),
        ],
        connections: &[
            Connection {
                host: Host::Images(&["ghcr.io/OWNER/seaworthy/trivy-scan"]),
                by: By::Docker,
                when: &[When::Empty(Inputs::trivy_image)],
                purpose: "Trivy, in the image of the same release",
                sends: "nothing",
            },
            Connection {
                host: Host::ImageInput(Inputs::trivy_image),
                by: By::Docker,
                when: &[When::Set(Inputs::trivy_image)],
                purpose: "Trivy",
                sends: "nothing",
            },
        ],
    },
];
