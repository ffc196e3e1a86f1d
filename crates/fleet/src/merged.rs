//! The results of a run: those of every shard, and of the images that have not changed.

use std::collections::{BTreeMap, HashMap};

use actions_toolkit::text::plural;
use actions_toolkit::{BadInput, Context, PolicyFailure};
use anyhow::anyhow;

use crate::inputs::ShardNumber;
use crate::part::{Fleet, Place};
use crate::previous::Results;
use crate::shard::ShardFile;
use crate::{Entry, LIMIT, Plan, VERSION, summary};

/// Names in a message.
const NAMED: usize = 5;

/// The results of a run.
#[derive(Debug)]
pub struct Merged {
    /// By name.
    pub entries: Vec<Entry>,
    settings: String,
    /// How many of them are of an earlier run.
    pub(crate) unchanged: usize,
    /// Shards without results, and why.
    pub(crate) missing: Vec<(ShardNumber, String)>,
}

impl Merged {
    /// Read the plan and what its shards did.
    ///
    /// # Errors
    /// [`BadInput`] when there is no plan. A shard without results is an error of its images.
    pub fn read(fleet: &Fleet) -> Result<Self, BadInput> {
        let place = &fleet.place;
        let plan = Plan::open(place)?;
        let of = plan.shards.len();
        let shards = (1..=of).map(|number| {
            let number = ShardNumber { number, of };
            (number, read_shard(place, &plan, number))
        });
        let shards: Vec<_> = shards.collect();
        Ok(Self::new(plan, shards))
    }

    pub(crate) fn new(plan: Plan, shards: Vec<(ShardNumber, Result<Vec<Entry>, String>)>) -> Self {
        let mut merged = Self {
            settings: plan.settings,
            unchanged: plan.unchanged.len(),
            entries: plan.unchanged,
            missing: Vec::new(),
        };
        merged.entries.extend(plan.others);
        for (items, (number, results)) in plan.shards.iter().zip(shards) {
            let (known, why) = match results {
                Ok(results) => (results, format!("shard {number} has no result of it")),
                Err(why) => {
                    merged.missing.push((number, why.clone()));
                    (Vec::new(), format!("shard {number} {why}"))
                }
            };
            // A shard speaks of its own images alone.
            let known = known.into_iter().map(|entry| (entry.image.clone(), entry));
            let mut known: HashMap<_, _> = known.collect();
            merged.entries.extend(items.iter().map(|item| {
                let entry = known.remove(&item.image);
                entry.unwrap_or_else(|| Entry::because(&item.image, "error", why.clone()))
            }));
        }
        merged.entries.sort_by(|a, b| a.image.cmp(&b.image));
        merged
    }

    /// Write the results and the summary, in which an image also has a cell of `detail`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(
        &self,
        ctx: &Context,
        fleet: &Fleet,
        (title, detail): (&str, fn(&Entry) -> String),
    ) -> anyhow::Result<()> {
        let results = Results {
            version: VERSION,
            action: fleet.place.action.to_owned(),
            settings: self.settings.clone(),
            images: self.entries.clone(),
        };
        let file = fleet.place.results_file();
        file.write(&serde_json::to_vec(&results)?)?;
        for (number, why) in &self.missing {
            ctx.log().error(format!("shard {number} {why}"));
        }
        for entry in self.entries.iter().filter(|entry| !entry.is_done()) {
            let reason = entry.reason.as_deref().unwrap_or_default();
            ctx.log().info(format!("{}: {reason}", entry.image));
        }
        ctx.log().info(summary::merged_line(self));
        ctx.summary(summary::of_merged(self, file.relative(), (title, detail)));
        Ok(())
    }

    /// How many findings there are in all images, by severity.
    pub fn findings(&self) -> BTreeMap<&str, usize> {
        let mut sum = BTreeMap::new();
        for (severity, count) in self.entries.iter().flat_map(|entry| &entry.findings) {
            *sum.entry(severity.as_str()).or_default() += count;
        }
        sum
    }

    /// The sum of the numbers that are called `name` in the outputs of the images.
    pub fn sum(&self, name: &str) -> u64 {
        let outputs = self.entries.iter().map(|entry| &entry.outputs);
        outputs
            .filter_map(|outputs| outputs.get(name)?.as_u64())
            .sum()
    }

    pub(crate) fn with(&self, result: &str) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.result == result)
    }

    /// Whether the run is as it should be.
    ///
    /// # Errors
    /// When a shard has no results, or an image could not be done; [`PolicyFailure`] when images failed and nothing else did.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let (errors, failed) = (self.names("error"), self.names("failed"));
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            let numbers = self.missing.iter().map(|(number, _)| number.to_string());
            let numbers = shown(numbers.collect());
            parts.push(format!(
                "{} without results: {numbers}",
                plural(self.missing.len(), "shard")
            ));
        }
        for (names, what) in [(&errors, "an error"), (&failed, "a failed check")] {
            if !names.is_empty() {
                let count = plural(names.len(), "image");
                parts.push(format!("{count} with {what}: {}", shown(names.clone())));
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let message = format!("{}; see the summary for each cause", parts.join("; "));
        Err(if errors.is_empty() && self.missing.is_empty() {
            PolicyFailure(message).into()
        } else {
            anyhow!(message)
        })
    }

    fn names(&self, result: &str) -> Vec<String> {
        let entries = self.with(result);
        entries.map(|entry| format!("`{}`", entry.image)).collect()
    }
}

fn shown(names: Vec<String>) -> String {
    let rest = names.len().saturating_sub(NAMED);
    let shown = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    match rest {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

// Why there are none follows the shard's number in a sentence.
fn read_shard(place: &Place, plan: &Plan, number: ShardNumber) -> Result<Vec<Entry>, String> {
    let file = place.shard_file(number.number);
    if !file.absolute().exists() {
        return Err("has no results; see the log of its job".to_owned());
    }
    let text = file
        .read(LIMIT)
        .map_err(|e| format!("can't be read: {e}"))?;
    parse_shard(&text, plan)
}

pub(crate) fn parse_shard(text: &str, plan: &Plan) -> Result<Vec<Entry>, String> {
    let file: ShardFile =
        serde_json::from_str(text).map_err(|e| format!("has an invalid file of results: {e}"))?;
    if file.version != VERSION || file.plan != plan.id {
        return Err("has results of another plan".to_owned());
    }
    Ok(file.images)
}
