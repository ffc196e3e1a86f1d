//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use trivy::network::{DATABASE, JAVA_DATABASE, MACHINE_IDENTITY};

use crate::request::Inputs;

/// The declaration from which `docs/network.md` is generated.
pub const NETWORK: Network = &[
    Part {
        when: &[When::Set(Inputs::token)],
        connections: &[github::network::API],
    },
    Part {
        when: &[],
        connections: DATABASE,
    },
    Part {
        when: &[],
        connections: JAVA_DATABASE,
    },
    Part {
        when: &[],
        connections: &[
            image(Inputs::image),
            image(Inputs::targets),
            image(Inputs::baseline),
            MACHINE_IDENTITY,
        ],
    },
];

const fn image(input: &'static str) -> Connection {
    Connection {
        host: Host::ImageInput(input),
        by: By::Step,
        when: &[When::Case("an image that is not in Docker")],
        purpose: "image",
        sends: "`registry-password` or the password of that registry in `registries`",
    }
}
