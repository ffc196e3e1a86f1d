//! Which instruction of the Dockerfile made a layer.
//!
//! The image's history has one entry for each instruction and marks those that made no layer (OCI image
//! specification, `history[].empty_layer`); the text of the instruction differs by builder.

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
    let mut locations = HashMap::new();
    for (created_by, diff_id) in made.zip(&metadata.diff_ids) {
        let matches = |instruction: &&&Instruction| made_by(instruction, created_by);
        if let Some(instruction) = chain.iter().find(matches) {
            let location = Location::new(path, instruction.line, instruction.end_line);
            locations.insert(diff_id.clone(), location);
        }
    }
    locations
}

// `RUN |1 A=b /bin/sh -c apt-get update # buildkit`, `/bin/sh -c apt-get update`, `COPY a b # buildkit`.
fn made_by(instruction: &Instruction, created_by: &str) -> bool {
    let created: Vec<_> = created_by.split_whitespace().collect();
    let created = created.join(" ");
    let created = created.strip_suffix(" # buildkit").unwrap_or(&created);
    let body: Vec<_> = instruction
        .body
        .split(' ')
        .skip_while(|word| word.starts_with("--"))
        .collect();
    let body = body.join(" ");
    match instruction.keyword.as_str() {
        "RUN" => created
            .split_once("/bin/sh -c ")
            .is_some_and(|(_, command)| command == body),
        "COPY" | "ADD" => created
            .strip_prefix(&instruction.keyword)
            .is_some_and(|rest| rest.trim() == body),
        _ => false,
    }
}
