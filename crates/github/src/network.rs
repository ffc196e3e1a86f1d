//! What GitHub's API connects to.

use actions_toolkit::network::{By, Connection, GITHUB_API, Host};

/// The REST API, uploads of SARIF included.
pub const API: Connection = Connection {
    host: Host::Url(GITHUB_API),
    by: By::Step,
    when: &[],
    purpose: "GitHub's API; of a GitHub Enterprise Server, the host of `GITHUB_API_URL`",
    sends: "`token`; what is published",
};
