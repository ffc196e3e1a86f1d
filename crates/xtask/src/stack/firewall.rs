//! What Docker leaves in the network of the host after it was stopped: chains and rules, the
//! policy of a chain, bridges.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;

use crate::paths;
use crate::setup::command::{command, output, succeeds};

/// How the two families are read and written.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("ip", "iptables-save", "iptables-restore"),
    ("ip6", "ip6tables-save", "ip6tables-restore"),
];

fn directory() -> PathBuf {
    paths::state().join("network-before")
}

/// Save the current state, unless an earlier `up` did.
///
/// # Errors
/// When it can't be written.
pub(super) fn save() -> anyhow::Result<()> {
    let directory = directory();
    if is_saved() {
        return Ok(());
    }
    // Complete or not there at all.
    let part = directory.with_extension("part");
    std::fs::create_dir_all(&part)?;
    std::fs::write(part.join("links"), links().join("\n"))?;
    for (family, save, _) in FAMILIES {
        let rules = output(&mut command::<&str>(save, [])).unwrap_or_default();
        std::fs::write(part.join(family), rules)?;
    }
    std::fs::write(part.join("tables"), tables())?;
    std::fs::rename(part, directory).context("failed to save the state of the network")
}

/// Whether it was saved, which is so if Docker was started here.
pub(super) fn is_saved() -> bool {
    directory().is_dir()
}

/// Remove what Docker left.
///
/// # Errors
/// When the rules can't be written.
pub(super) fn restore() -> anyhow::Result<()> {
    let directory = directory();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    for (family, save, restore) in FAMILIES {
        let Ok(now) = output(&mut command::<&str>(save, [])) else {
            continue;
        };
        let restored = without_docker(&now, &read(family));
        if restored != now {
            write(restore, &restored).with_context(|| format!("failed to run `{restore}`"))?;
        }
    }
    // A table that only Docker used, and that has no rules left.
    let before = read("tables");
    for table in tables()
        .lines()
        .filter(|t| !before.lines().any(|b| b == *t))
    {
        let words: Vec<_> = table.split_whitespace().collect();
        if let [
            "table",
            family @ ("ip" | "ip6"),
            name @ ("filter" | "nat" | "raw"),
        ] = words[..]
        {
            let text = output(&mut command("nft", ["list", "table", family, name]));
            if text.is_ok_and(|text| !has_rules(&text)) {
                succeeds(&mut command("nft", ["delete", "table", family, name]));
            }
        }
    }
    let before = read("links");
    for link in links() {
        if is_bridge(&link) && !before.lines().any(|b| b == link) {
            succeeds(&mut command("ip", ["link", "del", &link]));
        }
    }
    Ok(())
}

fn write(program: &str, rules: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut restore = command::<&str>(program, []);
    let mut restore = restore.stdin(Stdio::piped()).spawn()?;
    let mut input = restore.stdin.take().context("it has no standard input")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    anyhow::ensure!(restore.wait()?.success(), "it rejected the rules");
    Ok(())
}

// `ip -oneline link`: `2: eth0@if3: <BROADCAST…`.
fn links() -> Vec<String> {
    let text = output(&mut command("ip", ["-oneline", "link"])).unwrap_or_default();
    let name = |line: &str| {
        line.split(": ")
            .nth(1)?
            .split('@')
            .next()
            .map(ToOwned::to_owned)
    };
    text.lines().filter_map(name).collect()
}

fn tables() -> String {
    output(&mut command("nft", ["list", "tables"])).unwrap_or_default()
}

fn is_bridge(link: &str) -> bool {
    let id = link.strip_prefix("br-").unwrap_or_default();
    link == "docker0" || (id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

// `nft list table` has rules if a line is neither a brace, nor the head of something, nor a policy.
fn has_rules(table: &str) -> bool {
    table.lines().map(str::trim).any(|line| {
        !(line.is_empty() || line.ends_with('{') || line == "}" || line.starts_with("type "))
    })
}

/// Whether a line of `iptables-save` is a chain or a rule of Docker's.
pub(super) fn is_of_docker(line: &str) -> bool {
    line.split_whitespace()
        .any(|word| is_bridge(word) || word.trim_start_matches(':').starts_with("DOCKER"))
}

// The rules without Docker's own, and with the policies that were there before it.
fn without_docker(now: &str, before: &str) -> String {
    let policies = policies(before);
    let mut table = "";
    let mut kept = String::new();
    for line in now.lines().filter(|line| !is_of_docker(line)) {
        table = line.strip_prefix('*').unwrap_or(table);
        let policy = line.strip_prefix(":FORWARD ");
        match policy.filter(|_| table == "filter") {
            Some(_) => {
                let was = policies.iter().find(|(name, _)| *name == table);
                let was = was.map_or("ACCEPT", |(_, policy)| policy);
                kept.push_str(&format!(":FORWARD {was} [0:0]"));
            }
            None => kept.push_str(line),
        }
        kept.push('\n');
    }
    kept
}

// Table and policy of each chain `FORWARD`.
fn policies(rules: &str) -> Vec<(&str, &str)> {
    let mut table = "";
    let mut policies = Vec::new();
    for line in rules.lines() {
        table = line.strip_prefix('*').unwrap_or(table);
        if let Some(rest) = line.strip_prefix(":FORWARD ") {
            policies.push((table, rest.split(' ').next().unwrap_or("ACCEPT")));
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "*filter
:INPUT ACCEPT [9:9]
:FORWARD DROP [1:2]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i br-0123456789ab -j ACCEPT
-A FORWARD -i br-lan -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
";

    #[test]
    fn the_rules_of_docker_are_removed_and_all_others_stay() {
        let kept = "*filter
:INPUT ACCEPT [9:9]
:FORWARD ACCEPT [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -i br-lan -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
";
        assert_eq!(without_docker(NOW, ""), kept);
        let strict = without_docker(NOW, "*filter\n:FORWARD DROP [5:5]\nCOMMIT\n");
        assert_eq!(strict, kept.replace("FORWARD ACCEPT", "FORWARD DROP"));
        assert_eq!(without_docker(kept, ""), kept);
    }

    #[test]
    fn a_table_is_empty_when_only_its_chains_are_left() {
        let chains = "table ip nat {\n\tchain POSTROUTING {\n\t\ttype nat hook postrouting priority 100; policy accept;\n\t}\n}\n";
        assert!(!has_rules(chains));
        assert!(has_rules(
            &chains.replace("\t}\n", "\t\tcounter accept\n\t}\n")
        ));
    }
}
