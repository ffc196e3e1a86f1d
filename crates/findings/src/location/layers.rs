//! Which instruction of the Dockerfile made a layer.
//!
//! The image's history has one entry for each instruction and marks those that made no layer (OCI image
//! specification, `history[].empty_layer`); the text of the instruction differs by builder.

use std::borrow::Cow;
use std::collections::HashMap;

use docker::Instruction;
use serde_json::Value;
use trivy::report::Metadata;

use super::Location;

/// By diff id, the instruction of `chain` that made the layer; layers of the base image are not in it.
pub(super) fn locate(
    path: &str,
    chain: &[&Instruction],
    metadata: &Metadata,
) -> HashMap<String, Location> {
    let history = metadata.image_config.pointer("/history");
    let history = history
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let made = history
        .iter()
        .filter(|entry| entry["empty_layer"] != Value::Bool(true))
        .map(|entry| entry["created_by"].as_str().unwrap_or_default());
    // Both lists are a stranger's: neither is searched for every entry of the other.
    let mut makers: HashMap<_, &Instruction> = HashMap::new();
    for &instruction in chain {
        makers.entry(maker(instruction)).or_insert(instruction);
    }
    let mut locations = HashMap::new();
    for (created_by, diff_id) in made.zip(&metadata.diff_ids) {
        let created = created_by.split_whitespace().collect::<Vec<_>>().join(" ");
        let makers = candidates(&created).filter_map(|made| makers.get(&made));
        if let Some(instruction) = makers.min_by_key(|instruction| instruction.line) {
            let location = Location::new(path, instruction.line, instruction.end_line);
            locations.insert(diff_id.clone(), location);
        }
    }
    locations
}

/// Keyword and arguments of an instruction, as the history has them.
type Made<'a> = (&'a str, Cow<'a, str>);

fn maker(instruction: &Instruction) -> Made<'_> {
    let body = instruction.body.split(' ');
    let body: Vec<_> = body.skip_while(|word| word.starts_with("--")).collect();
    (&instruction.keyword, body.join(" ").into())
}

// `RUN |1 A=b /bin/sh -c apt-get update # buildkit`, `/bin/sh -c apt-get update`, `COPY a b # buildkit`.
fn candidates(created: &str) -> impl Iterator<Item = Made<'_>> {
    let created = created.strip_suffix(" # buildkit").unwrap_or(created);
    let run = created.split_once("/bin/sh -c ");
    let run = run.map(|(_, command)| ("RUN", command.into()));
    let copied = ["COPY", "ADD"].into_iter().filter_map(move |keyword| {
        let rest = created.strip_prefix(keyword)?;
        Some((keyword, rest.trim().into()))
    });
    run.into_iter().chain(copied)
}
