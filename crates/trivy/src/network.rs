//! What a scan by Trivy connects to.

use actions_toolkit::network::{By, Connection, Host, When};

use crate::{DatabaseInputs, JAVA_MIRRORS, JavaDatabaseInputs, MIRRORS, ServerInputs};

/// The vulnerability database.
pub const DATABASE: &[Connection] = &[
    Connection {
        host: Host::Images(MIRRORS),
        by: By::Step,
        when: &[
            When::Empty(DatabaseInputs::db_repositories),
            When::Not(DatabaseInputs::offline, "true"),
        ],
        purpose: "vulnerability database: the first mirror that works; one of them is enough",
        sends: "nothing",
    },
    Connection {
        host: Host::ImageInput(DatabaseInputs::db_repositories),
        by: By::Step,
        when: &[
            When::Set(DatabaseInputs::db_repositories),
            When::Not(DatabaseInputs::offline, "true"),
        ],
        purpose: "vulnerability database",
        sends: "nothing",
    },
];

/// A Trivy server, in place of [`DATABASE`].
pub const SERVER: &[Connection] = &[Connection {
    host: Host::UrlInput(ServerInputs::trivy_server),
    by: By::Step,
    when: &[When::Set(ServerInputs::trivy_server)],
    purpose: "Trivy server, which has the vulnerability database",
    sends: "`trivy-server-token`; the packages of the targets, and what else Trivy found in their files",
}];

const JAR: When = When::Case("an image with JAR files");

/// The Java database.
pub const JAVA_DATABASE: &[Connection] = &[
    Connection {
        host: Host::Images(JAVA_MIRRORS),
        by: By::Step,
        when: &[
            JAR,
            When::Empty(JavaDatabaseInputs::java_db_repositories),
            When::Not(DatabaseInputs::offline, "true"),
        ],
        purpose: "Java database: the first mirror that works; one of them is enough",
        sends: "nothing",
    },
    Connection {
        host: Host::ImageInput(JavaDatabaseInputs::java_db_repositories),
        by: By::Step,
        when: &[
            JAR,
            When::Set(JavaDatabaseInputs::java_db_repositories),
            When::Not(DatabaseInputs::offline, "true"),
        ],
        purpose: "Java database",
        sends: "nothing",
    },
];

/// What Trivy itself contacts for an image of a cloud's registry, to sign in as the machine
/// (github.com/aquasecurity/trivy, pkg/fanal/image/registry).
pub const MACHINE_IDENTITY: Connection = Connection {
    host: Host::Http("169.254.169.254"),
    by: By::Step,
    when: &[When::Case(
        "an image in a registry of Azure, AWS or Google, and not in Docker",
    )],
    purpose: "identity of the machine, which Trivy looks for; not necessary",
    sends: "nothing",
};
