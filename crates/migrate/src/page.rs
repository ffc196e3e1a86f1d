//! The tables of `docs/migrate.md`.

use std::fmt::Write as _;

use peers::{Mapping, PEERS};

/// A table for each action that is replaced: each input and output, and what it becomes.
pub fn tables() -> String {
    let mut text = String::new();
    for peer in PEERS {
        let _ = writeln!(text, "\n## {} → {}\n", peer.name, peer.action);
        let _ = writeln!(text, "Version {}.\n", peer.version);
        let _ = writeln!(text, "| input | `{}` |\n|---|---|", peer.action);
        rows(&mut text, "", peer.inputs);
        rows(&mut text, "variable ", peer.environment);
        rows(&mut text, "output ", peer.outputs);
    }
    text
}

fn rows(text: &mut String, kind: &str, mappings: &[Mapping]) {
    for mapping in mappings {
        let cell = mapping.cell().replace('|', "\\|");
        let harmless = mapping
            .harmless
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let harmless = if harmless.is_empty() {
            String::new()
        } else {
            format!("; nothing is lost with {harmless}")
        };
        let _ = writeln!(text, "| {kind}`{}` | {cell}{harmless} |", mapping.old);
    }
}
