//! The images of a registry in several jobs: one plans, a matrix of them works, one merges.
//!
//! - [`FleetInputs`], [`Fleet`], [`Part`]: the inputs, and what a step does;
//! - [`Lookup`]: which images have not changed since the last run;
//! - [`Plan`], [`Item`]: what is to be done, in balanced shards;
//! - [`Entry`]: what became of an image;
//! - [`Merged`]: the entries of every shard.
//!
//! Shards share the plan and the registry, and nothing else. All files are in one directory of the workspace:
//! `results.json` of the last run, `plan.json`, `shard-N.json`, and at the end the new `results.json`.

mod balance;
mod entry;
#[cfg(fuzzing)]
pub mod fuzz;
mod inputs;
mod lookup;
mod merged;
mod part;
mod plan;
mod previous;
mod settings;
mod shard;
mod summary;

use actions_toolkit::Output;

pub use entry::Entry;
use entry::now;
pub use inputs::{FleetInputs, Part, ShardNumber};
pub use lookup::Lookup;
pub use merged::Merged;
pub use part::{Dependencies, Fleet};
use plan::Plan;
pub use plan::{Draft, Item};
use previous::Previous;
use settings::settings;

/// Shards of a plan: the jobs of one matrix (docs.github.com/actions/reference/limits).
pub const SHARDS: usize = 256;
/// The variables of a shard in the matrix: they do not distinguish two analyses of an image.
pub const MATRIX: [&str; 2] = ["shard", "images"];

/// The outputs of a plan.
pub const MATRIX_OUTPUT: Output = Output::new(
    "matrix",
    "Of a plan: the matrix of its shards, for `strategy.matrix` by `fromJSON`.",
);
/// See [`MATRIX_OUTPUT`].
pub const COUNT_OUTPUT: Output = Output::new(
    "count",
    "Of a plan: number of its shards; 0 if nothing has changed.",
);

/// The version of each file.
const VERSION: u32 = 1;
/// Bytes of one file.
const LIMIT: u64 = 256 << 20;
