//! The inputs: which part of the work a step does.

use actions_toolkit::{Age, Scope, Value, WorkspacePath, inputs};

use crate::SHARDS;

inputs! {
    /// A run in several jobs: the inputs, which are the same in each of them but for the first.
    pub struct FleetInputs {
        /// Part of a run in several jobs that this step does: `plan`, one shard such as `3/16`, or `merge`; all of it by default.
        fleet: Option<Part>,
        /// Directory of the plan, of what each shard did and of the results, in the workspace.
        fleet_directory: WorkspacePath = "fleet",
        /// Number of shards of a plan, at most 256; fewer if fewer images are to be done.
        fleet_shards: ShardCount = "16",
        /// Age at which a result of an image that has not changed no longer counts; for some half of it, so that not all are due at once.
        fleet_max_age: Age = "7d",
    }
}

/// What a step does of a run in several jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Decide which images are to be done, and by which shard.
    Plan,
    /// Do the images of one shard.
    Shard(ShardNumber),
    /// Put the results of all shards together.
    Merge,
}

/// Which shard it is, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardNumber {
    /// From 1.
    pub number: usize,
    /// All of the plan.
    pub of: usize,
}

/// A number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount(pub(crate) usize);

impl Value for Part {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let invalid = || {
            format!(
                "invalid value `{text}`; use `plan`, `merge`, or a shard such as `3/16`, of at most {SHARDS}"
            )
        };
        match text {
            "plan" => Ok(Self::Plan),
            "merge" => Ok(Self::Merge),
            _ => {
                let (number, of) = text.split_once('/').ok_or_else(invalid)?;
                let part = |text: &str| text.trim().parse::<usize>().map_err(|_| invalid());
                let (number, of) = (part(number)?, part(of)?);
                if number < 1 || number > of || of > SHARDS {
                    return Err(invalid());
                }
                Ok(Self::Shard(ShardNumber { number, of }))
            }
        }
    }
}

impl Value for ShardCount {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let count = text.parse().ok();
        let count = count.filter(|count| (1..=SHARDS).contains(count));
        let count = count.ok_or_else(|| format!("invalid number `{text}`; use 1 to {SHARDS}"));
        count.map(Self)
    }
}

impl std::fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    #[test]
    fn a_part_is_plan_merge_or_a_shard() {
        let log = Log::sink();
        let workspace = Workspace::new("/w");
        let scope = Scope::new(&log, &workspace);
        let shard = |number, of| Some(Part::Shard(ShardNumber { number, of }));
        for (text, expected) in [
            ("plan", Some(Part::Plan)),
            ("merge", Some(Part::Merge)),
            ("1/1", shard(1, 1)),
            ("3/16", shard(3, 16)),
            ("256/256", shard(256, 256)),
            ("0/4", None),
            ("5/4", None),
            ("1/257", None),
            ("3", None),
            ("-1/4", None),
            ("shard", None),
        ] {
            assert_eq!(Part::parse(text, &scope).ok(), expected, "{text}");
        }
        insta::assert_snapshot!(Part::parse("4/3", &scope).unwrap_err(), @"invalid value `4/3`; use `plan`, `merge`, or a shard such as `3/16`, of at most 256");
        insta::assert_snapshot!(ShardCount::parse("257", &scope).unwrap_err(), @"invalid number `257`; use 1 to 256");
    }
}
