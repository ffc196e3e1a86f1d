//! What the action connects to.

use actions_toolkit::network::{By, Connection, Host, Network, Part, When};
use azure::input::EntraInputs;
use registries::SelectionInputs;
use trivy::ServerInputs;
use trivy::network::{DATABASE, JAVA_DATABASE, MACHINE_IDENTITY, SERVER};

use crate::patch::{PYTHON_TOOLING, RPM_TOOLING, TOOLING};
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
        when: &[],
        connections: &[
            image(
                Inputs::image,
                &[When::Case("not in Docker, or `push: true`")],
            ),
            image(
                SelectionInputs::registry,
                &[When::Set(SelectionInputs::registry)],
            ),
            image(Inputs::push_to, &[When::Set(Inputs::push_to)]),
            Connection {
                host: Host::ImageInput(Inputs::push_to),
                by: By::Docker,
                when: &[When::Set(Inputs::push_to), When::Case("an image of Docker")],
                purpose: "push",
                sends: "the login of that registry; the image",
            },
            MACHINE_IDENTITY,
        ],
    },
    Part {
        when: &[When::Set(EntraInputs::client_id)],
        connections: &[azure::network::OIDC, azure::network::ENTRA],
    },
    Part {
        when: &[],
        connections: &[
            Connection {
                host: Host::ImageInput(Inputs::buildkit_image),
                by: By::Docker,
                when: &[When::Empty(Inputs::buildkit_address), NOT_IN_DOCKER],
                purpose: "BuildKit",
                sends: "nothing",
            },
            Connection {
                host: Host::Found("the host of `buildkit-address`, if it is `tcp://`"),
                by: By::Step,
                when: &[When::Set(Inputs::buildkit_address)],
                purpose: "BuildKit, which then makes the connections below",
                sends: "the image, without credentials",
            },
        ],
    },
    Part {
        when: &[],
        connections: PATCH,
    },
];

const NOT_IN_DOCKER: When = When::Case("not in Docker");

const fn image(input: &'static str, when: &'static [When]) -> Connection {
    Connection {
        host: Host::ImageInput(input),
        by: By::Step,
        when,
        purpose: "image",
        sends: "its login in `registries`, `registry-password`, or a token for `client-id`; what is pushed",
    }
}

const fn build(host: Host, when: &'static [When], purpose: &'static str) -> Connection {
    Connection {
        host,
        by: By::BuildKit,
        when,
        purpose,
        sends: "nothing",
    }
}

// The package sources are those of the distributions' own images.
const PATCH: &[Connection] = &[
    build(
        Host::Images(TOOLING),
        &[When::Empty(Inputs::tooling_image)],
        "Copa's tools",
    ),
    build(
        Host::Images(RPM_TOOLING),
        &[
            When::Empty(Inputs::tooling_image),
            When::Case("an image of an RPM distribution"),
        ],
        "Copa's tools",
    ),
    build(
        Host::ImageInput(Inputs::tooling_image),
        &[When::Set(Inputs::tooling_image), NOT_IN_DOCKER],
        "Copa's tools",
    ),
    build(
        Host::Http("deb.debian.org"),
        &[],
        "packages of Debian; the image's own sources count",
    ),
    build(
        Host::Http("archive.ubuntu.com"),
        &[],
        "packages of Ubuntu; the image's own sources count",
    ),
    build(
        Host::Http("security.ubuntu.com"),
        &[],
        "packages of Ubuntu; the image's own sources count",
    ),
    build(
        Host::Http("ports.ubuntu.com"),
        &[When::Case("Ubuntu, not for amd64")],
        "packages; the image's own sources count",
    ),
    build(
        Host::Name("dl-cdn.alpinelinux.org"),
        &[],
        "packages of Alpine; the image's own sources count",
    ),
    build(
        Host::Found("package sources of the image"),
        &[When::Case("another distribution")],
        "packages",
    ),
    build(
        Host::Images(PYTHON_TOOLING),
        &[
            When::Is(Inputs::package_types, "os,library"),
            When::Empty(Inputs::tooling_image),
        ],
        "Copa's tools for Python",
    ),
    build(Host::Name("pypi.org"), LIBRARY, "Python packages"),
    build(
        Host::Name("files.pythonhosted.org"),
        LIBRARY,
        "Python packages",
    ),
];
const LIBRARY: &[When] = &[When::Is(Inputs::package_types, "os,library")];
