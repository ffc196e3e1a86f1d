//! `docs/network.md`: a table of connections for each action, and the lists for firewalls.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use actions_toolkit::Action;
use actions_toolkit::network::{By, Host, Network, When};
use actions_toolkit::text::Table;

use super::generated;
use crate::endpoints::{Endpoint, Holds, Values, possible};

/// Check the part of `docs/network.md`, below `root`, that is generated from `network`.
///
/// # Panics
/// When it is stale, or names an input that `action` does not have.
pub fn check_network(action: &Action, network: Network, root: &Path) {
    let path = root.join("docs/network.md");
    generated(&path, "<!--", " -->", action.name, &text(action, network));
}

fn text(action: &Action, network: Network) -> String {
    let values = Values::new(action, &[]);
    let mut table = Table::new(["host", "by", "when", "for", "sent there"]);
    for part in network {
        for connection in part.connections {
            // Of no use here, but it fails for an unknown input.
            values.hold(part.when.iter().chain(connection.when));
            let when: Vec<_> = part.when.iter().chain(connection.when).map(when).collect();
            table.extend([[
                host(&connection.host, &values),
                by(connection.by).to_owned(),
                when.join(", "),
                connection.purpose.to_owned(),
                connection.sends.to_owned(),
            ]]);
        }
    }
    let always: BTreeSet<Endpoint> = possible(network, &values)
        .iter()
        .filter(|(_, holds)| *holds == Holds::Yes)
        .flat_map(|(connection, _)| values.endpoints(&connection.host))
        .collect();
    let mut text = format!("\n{table}\nWith the default inputs, for harden-runner:\n\n");
    text.push_str("```yaml\negress-policy: block\nallowed-endpoints: >\n");
    for endpoint in &always {
        let _ = writeln!(text, "  {endpoint}");
    }
    text.push_str("```\n\nThe same as a list of hosts:\n\n```text\n");
    let hosts: BTreeSet<_> = always.iter().map(|endpoint| &endpoint.host).collect();
    for host in hosts {
        let _ = writeln!(text, "{host}");
    }
    text.push_str("```\n\n");
    text
}

fn by(by: By) -> &'static str {
    match by {
        By::Step => "step",
        By::Docker => "Docker",
        By::BuildKit => "BuildKit",
    }
}

fn when(condition: &When) -> String {
    match condition {
        When::Set(input) => format!("`{input}` is set"),
        When::Empty(input) => format!("`{input}` is empty"),
        When::Is(input, value) => format!("`{input}: {value}`"),
        When::Not(input, value) => format!("not `{input}: {value}`"),
        When::Case(case) => (*case).to_owned(),
    }
}

fn host(host: &Host, values: &Values) -> String {
    let endpoints = values.endpoints(host);
    let mut lines: Vec<_> = endpoints.iter().map(|one| format!("`{one}`")).collect();
    match host {
        Host::Clouds(clouds) => {
            let others = clouds.iter().skip(1);
            lines.extend(others.map(|(cloud, name)| format!("{cloud}: `{}`", Endpoint::new(name))));
        }
        Host::UrlInput(input) if lines.is_empty() => lines.push(format!("host of `{input}`")),
        Host::UrlInput(input) => lines.push(format!("or the host of `{input}`")),
        Host::ImageInput(input) if lines.is_empty() => lines.push(format!("registry of `{input}`")),
        Host::ImageInput(input) => lines.push(format!("or the registry of `{input}`")),
        Host::Found(text) => lines.push((*text).to_owned()),
        Host::Name(_) | Host::Http(_) | Host::Url(_) | Host::Images(_) => {}
    }
    lines.join("<br>")
}
