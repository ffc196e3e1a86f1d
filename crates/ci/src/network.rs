//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use azure::input::EntraInputs;
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
        when: &[When::Set(EntraInputs::client_id)],
        connections: &[azure::network::OIDC, azure::network::ENTRA],
    },
    Part {
        when: &[When::Is(Inputs::baseline_coverage, "auto")],
        connections: &[Connection {
            host: Host::Found(
                "cache of GitHub Actions, the host in `ACTIONS_RESULTS_URL` and those of its storage",
            ),
            by: By::Step,
            when: &[],
            purpose: "coverage of the base branch",
            sends: "the job's token of the runner; numbers of lines",
        }],
    },
    Part {
        when: &[],
        connections: &[
            Connection {
                host: Host::Found("registries of Azure in `registries`"),
                by: By::Step,
                when: &[When::Set(EntraInputs::client_id)],
                purpose: "sign-in with a token of Entra",
                sends: "access token of Entra",
            },
            Connection {
                host: Host::ImageInput(Inputs::image),
                by: By::Step,
                when: &[When::Is(Inputs::push, "true")],
                purpose: "tags of the pushed image; the registries of `tags`, too",
                sends: "the login in `registries`; the image's manifest, and its layers if a BuildKit of the step built it",
            },
            Connection {
                host: Host::ImageInput(Inputs::image),
                by: By::Docker,
                when: &[When::Is(Inputs::push, "true")],
                purpose: "push; the registries of `tags`, too",
                sends: "the login in `registries`; the image",
            },
            Connection {
                host: Host::Found("registries of the images in `FROM` and `# syntax=` lines"),
                by: By::Docker,
                when: &[],
                purpose: "base images",
                sends: "the registry's login in `registries`",
            },
            Connection {
                host: Host::Found("registries of the images with a digest in `FROM` lines"),
                by: By::Step,
                when: &[],
                purpose: "whether the digest is that of one platform; without a response nothing is reported",
                sends: "the registry's login in `registries`",
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
                purpose: "smoke test",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("hosts that the tests connect to"),
                by: By::Docker,
                when: &[When::Is(Inputs::test_network, "internet")],
                purpose: "tests; they have no network by default",
                sends: "nothing",
            },
            Connection {
                host: Host::ImageInput(Inputs::test_image),
                by: By::Docker,
                when: &[When::Set(Inputs::test_image)],
                purpose: "image that the tests run in",
                sends: "the registry's login in `registries`",
            },
            Connection {
                host: Host::Found("registries of the images in `services`"),
                by: By::Docker,
                when: &[When::Set(Inputs::services)],
                purpose: "services for the tests and the smoke test",
                sends: "the registry's login in `registries`",
            },
            Connection {
                host: Host::Found(
                    "registries of the images in `compose-file`, and in the Dockerfiles of its services",
                ),
                by: By::Docker,
                when: &[When::Set(Inputs::compose_file)],
                purpose: "services for the tests and the smoke test",
                sends: "the registry's login in `registries`",
            },
            Connection {
                host: Host::Found("registries of the images in `cache-from`"),
                by: By::Docker,
                when: &[When::Set(Inputs::cache_from)],
                purpose: "cache of an earlier build",
                sends: "the registry's login in `registries`",
            },
        ],
    },
    Part {
        when: &[When::Case(
            "the build needs a BuildKit of the step: it makes the connections of a build instead of Docker, and these",
        )],
        connections: &[
            Connection {
                host: Host::ImageInput(Inputs::buildkit_image),
                by: By::Docker,
                when: &[],
                purpose: "BuildKit",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("registries of the images in `cache-to`"),
                by: By::BuildKit,
                when: &[When::Set(Inputs::cache_to)],
                purpose: "cache for later builds",
                sends: "the registry's login in `registries`; steps of the build",
            },
            Connection {
                host: Host::Found(
                    "cache of GitHub Actions, the host in `ACTIONS_RESULTS_URL` and those of its storage",
                ),
                by: By::BuildKit,
                when: &[When::Case("`cache-from` or `cache-to` has `type=gha`")],
                purpose: "cache of builds",
                sends: "the job's token of the runner; steps of the build",
            },
            Connection {
                host: Host::Found(
                    "registries and hosts of `build-contexts`, and of the `generator` of `sbom`, by default Docker Hub",
                ),
                by: By::BuildKit,
                when: &[],
                purpose: "what the build reads",
                sends: "the registry's login in `registries`",
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
                sends: "the registry's login in `registries`",
            },
        ],
    },
];
