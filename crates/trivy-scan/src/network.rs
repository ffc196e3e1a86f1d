//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use registries::SelectionInputs;
use trivy::network::{DATABASE, JAVA_DATABASE, MACHINE_IDENTITY, SERVER};
use trivy::{DatabaseInputs, ServerInputs};

use crate::request::Inputs;

/// The declaration from which `docs/network.md` is generated.
pub const NETWORK: Network = &[
    Part {
        when: &[When::Set(Inputs::token)],
        connections: &[github::network::API],
    },
    Part {
        when: &[When::Empty(ServerInputs::trivy_server)],
        connections: DATABASE,
    },
    Part {
        when: &[],
        connections: SERVER,
    },
    Part {
        when: &[],
        connections: JAVA_DATABASE,
    },
    Part {
        when: &[When::Not(DatabaseInputs::offline, "true")],
        connections: &[
            Connection {
                host: Host::UrlInput(Inputs::kev_catalog),
                by: By::Step,
                when: &[When::Case("`fail-on` has `kev`")],
                purpose: "KEV catalog: the first mirror that works; one of them is enough",
                sends: "nothing",
            },
            Connection {
                host: Host::UrlInput(Inputs::epss_scores),
                by: By::Step,
                when: &[When::Case("`fail-on` has `epss`")],
                purpose: "EPSS scores: the first mirror that works; one of them is enough",
                sends: "nothing",
            },
        ],
    },
    Part {
        when: &[
            When::Case("`vex` has `repo`"),
            When::Not(DatabaseInputs::offline, "true"),
        ],
        connections: &[
            Connection {
                host: Host::UrlInput(Inputs::vex_repositories),
                by: By::Step,
                when: &[],
                purpose: "VEX repositories, unless they are in the cache",
                sends: "the user and password in the URL",
            },
            Connection {
                host: Host::Name("raw.githubusercontent.com"),
                by: By::Step,
                when: &[When::Case("a repository on github.com")],
                purpose: "manifest of a VEX repository",
                sends: "nothing",
            },
            Connection {
                host: Host::Name("codeload.github.com"),
                by: By::Step,
                when: &[When::Case("a repository on github.com")],
                purpose: "archive of a VEX repository",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("the host that the manifest of a VEX repository names"),
                by: By::Step,
                when: &[],
                purpose: "archive of a VEX repository; the public one has it on github.com",
                sends: "the user and password in the URL, if it is the same host",
            },
        ],
    },
    Part {
        when: &[],
        connections: &[
            image(Inputs::image),
            image(Inputs::targets),
            image(Inputs::baseline),
            image(SelectionInputs::registry),
            MACHINE_IDENTITY,
        ],
    },
];

const fn image(input: &'static str) -> Connection {
    Connection {
        host: Host::ImageInput(input),
        by: By::Step,
        when: &[When::Case(
            "an image that is not in Docker, or `vex` has `oci`",
        )],
        purpose: "image, and the VEX documents that refer to it",
        sends: "`registry-password` or the password of that registry in `registries`",
    }
}
