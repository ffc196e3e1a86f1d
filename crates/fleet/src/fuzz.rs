//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use crate::merged::{Merged, parse_shard};
use crate::{Plan, ShardNumber, previous, summary};

/// A plan, and a line for each file of a shard and of results: what they merge to is shown.
pub fn files(text: &str) {
    let mut lines = text.lines();
    let Ok(mut plan) = Plan::parse(lines.next().unwrap_or_default(), "trivy-scan", "r.example")
    else {
        return;
    };
    "p".clone_into(&mut plan.id);
    summary::of_plan(&plan);
    let of = plan.shards.len();
    let shards = (1..=of).map(|number| {
        let results = parse_shard(lines.next().unwrap_or_default(), &plan);
        (ShardNumber { number, of }, results)
    });
    let shards: Vec<_> = shards.collect();
    let _ = previous::parse(lines.next().unwrap_or_default(), "trivy-scan", "");
    let merged = Merged::new(plan, shards);
    let _ = merged.verdict();
    summary::of_merged(
        &merged,
        "results.json",
        ("Scanned", |entry| entry.result.clone()),
    );
}
