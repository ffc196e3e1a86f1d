//! The plan: which images are to be done, and by which shard.

use std::collections::HashSet;

use actions_toolkit::{BadInput, Context};
use oci::{Digest, ImageRef};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::balance::balanced;
use crate::inputs::{FleetInputs, ShardNumber};
use crate::part::{Fleet, Place};
use crate::{COUNT_OUTPUT, Entry, LIMIT, MATRIX_OUTPUT, SHARDS, VERSION, now, summary};

/// An image that is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `host/repository:tag`.
    pub image: String,
    /// What the tag refers to, an index or an image.
    pub digest: String,
    /// The image itself, if the tag refers to an index of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Of its layers, compressed: what has to be read for it.
    pub bytes: u64,
    /// Other tags that refer to the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// When it was made, RFC 3339, where that decides.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
}

/// What a plan is made of.
#[derive(Debug, Default)]
pub struct Draft {
    /// What is to be done.
    pub items: Vec<Item>,
    /// Of images that have not changed, unless they are among the others.
    pub unchanged: Vec<Entry>,
    /// Of images that are not done, or can't be read.
    pub others: Vec<Entry>,
}

/// A plan, in the file `plan.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    version: u32,
    action: String,
    pub(crate) settings: String,
    time: String,
    /// The images of each shard.
    pub(crate) shards: Vec<Vec<Item>>,
    /// Of images that have not changed.
    pub(crate) unchanged: Vec<Entry>,
    /// Of images that are not done, or can't be read.
    pub(crate) others: Vec<Entry>,
    /// Of the file.
    #[serde(skip)]
    pub(crate) id: String,
}

impl Fleet {
    /// Write the plan of `draft`, its outputs and its summary.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_plan(&self, ctx: &Context, draft: Draft) -> anyhow::Result<()> {
        let plan = Plan::new(self, draft);
        let bytes = serde_json::to_vec(&plan)?;
        self.place.plan_file().write(&bytes)?;
        ctx.output(MATRIX_OUTPUT.name, plan.matrix());
        ctx.output(COUNT_OUTPUT.name, plan.shards.len());
        ctx.log().info(summary::plan_line(&plan));
        for other in plan.others.iter().filter(|other| !other.is_done()) {
            let reason = other.reason.as_deref().unwrap_or_default();
            ctx.log().error(format!("{}: {reason}", other.image));
        }
        ctx.summary(summary::of_plan(&plan));
        Ok(())
    }
}

impl Plan {
    fn new(fleet: &Fleet, mut draft: Draft) -> Self {
        let others: HashSet<_> = draft.others.iter().map(|other| &other.image).collect();
        let is_other = |entry: &Entry| others.contains(&entry.image);
        draft.unchanged.retain(|entry| !is_other(entry));
        Self {
            version: VERSION,
            action: fleet.place.action.to_owned(),
            settings: fleet.settings.clone(),
            time: now(),
            shards: balanced(draft.items, fleet.shards),
            unchanged: draft.unchanged,
            others: draft.others,
            id: String::new(),
        }
    }

    /// The value of `strategy.matrix`: one job for each shard.
    fn matrix(&self) -> String {
        let of = self.shards.len();
        let jobs = self.shards.iter().enumerate().map(|(index, shard)| {
            let number = index + 1;
            let shard_number = ShardNumber { number, of }.to_string();
            json!({"shard": shard_number, "images": shard.len()})
        });
        json!({"include": jobs.collect::<Vec<_>>()}).to_string()
    }

    /// The images that are to be done.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.shards.iter().flatten()
    }

    /// Bytes that have to be read for the shard at `index`, and its images.
    pub(crate) fn size(&self, index: usize) -> (u64, usize) {
        let shard = self.shards.get(index).map_or(&[][..], Vec::as_slice);
        let bytes = shard.iter().map(|item| item.bytes);
        (bytes.fold(0, u64::saturating_add), shard.len())
    }

    /// Read the plan that the shard `number` is of, with the same `settings` as it was made.
    ///
    /// # Errors
    /// [`BadInput`] when there is none, or it is of another action, registry or version.
    pub(crate) fn of_shard(
        place: &Place,
        settings: &str,
        number: ShardNumber,
    ) -> Result<Self, BadInput> {
        let plan = Self::open(place)?;
        if plan.settings != settings {
            let problem =
                "was made with other inputs; use the same ones in every job, but for `fleet`";
            return Err(bad(place, problem));
        }
        plan.shard(number)?;
        Ok(plan)
    }

    /// Read the plan, for who depends on no input.
    pub(crate) fn open(place: &Place) -> Result<Self, BadInput> {
        let text = place.plan_file().read(LIMIT)?;
        let plan = Self::parse(&text, place.action, &place.host);
        plan.map_err(|problem| bad(place, &problem))
    }

    pub(crate) fn parse(text: &str, action: &str, host: &str) -> Result<Self, String> {
        let mut plan: Self =
            serde_json::from_str(text).map_err(|e| format!("is not a plan: {e}"))?;
        plan.check(action, host)?;
        plan.id = Digest::sha256(text.as_bytes()).to_string();
        Ok(plan)
    }

    // What is in a request or a path later.
    fn check(&self, action: &str, host: &str) -> Result<(), String> {
        if self.version != VERSION || self.action != action {
            return Err(format!(
                "is a plan of `{}`, version {}, and this is `{action}`, version {VERSION}",
                self.action, self.version
            ));
        }
        if self.shards.len() > SHARDS {
            return Err(format!("has more than {SHARDS} shards"));
        }
        let mut known = HashSet::new();
        for item in self.items() {
            let image = item.image.parse::<ImageRef>();
            let image = image.map_err(|e| format!("has an invalid image: {e}"))?;
            if image.registry() != Some(host) || image.tag().is_none() {
                return Err(format!("has `{image}`, which is not a tag of `{host}`"));
            }
            for digest in [Some(&item.digest), item.part.as_ref()]
                .into_iter()
                .flatten()
            {
                let digest = digest.parse::<Digest>();
                digest.map_err(|e| format!("has an invalid digest of `{image}`: {e}"))?;
            }
            if !known.insert(&item.image) {
                return Err(format!("has `{image}` twice"));
            }
        }
        Ok(())
    }

    /// The images of the shard `number`.
    ///
    /// # Errors
    /// [`BadInput`] when the plan has another number of shards.
    pub(crate) fn shard(&self, number: ShardNumber) -> Result<&[Item], BadInput> {
        let own = self.shards.len();
        let shard = self
            .shards
            .get(number.number - 1)
            .filter(|_| own == number.of);
        shard.map(Vec::as_slice).ok_or_else(|| {
            let problem = format!(
                "is shard {number}, and the plan has {own} shards; use its output `matrix`"
            );
            BadInput::new(FleetInputs::fleet, problem)
        })
    }
}

fn bad(place: &Place, problem: &str) -> BadInput {
    let problem = format!("`{}` {problem}", place.plan_file().relative());
    BadInput::new(FleetInputs::fleet_directory, problem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Bytes of an output (docs.github.com/actions/reference/workflows-and-actions/workflow-syntax, `jobs.<job_id>.outputs`).
    const OUTPUT: usize = 1 << 20;

    fn plan(images: usize, shards: usize) -> Plan {
        let items = (0..images).map(|index| Item {
            image: format!("r.example/team/app-{index}:1"),
            digest: Digest::sha256(index.to_string().as_bytes()).to_string(),
            bytes: (index as u64 % 7) << 24,
            ..Item::default()
        });
        Plan {
            version: VERSION,
            action: "trivy-scan".to_owned(),
            settings: "s".to_owned(),
            time: now(),
            shards: balanced(items.collect(), shards),
            unchanged: vec![Entry::new("r.example/team/same:1", "passed")],
            others: Vec::new(),
            id: String::new(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_matrix_names_each_shard_of_the_file_and_is_not_over_the_limits(
            images in 0..5000_usize,
            shards in 1..=SHARDS,
        ) {
            let plan = plan(images, shards);
            let matrix = plan.matrix();
            prop_assert!(matrix.len() < OUTPUT);
            let matrix: Value = serde_json::from_str(&matrix).unwrap();
            let jobs = matrix["include"].as_array().unwrap();
            prop_assert!(jobs.len() <= SHARDS);
            let text = serde_json::to_string(&plan).unwrap();
            let read = Plan::parse(&text, "trivy-scan", "r.example").unwrap();
            let mut count = 0;
            for job in jobs {
                let (number, of) = job["shard"].as_str().unwrap().split_once('/').unwrap();
                let number = ShardNumber {
                    number: number.parse().unwrap(),
                    of: of.parse().unwrap(),
                };
                let items = read.shard(number).unwrap();
                prop_assert_eq!(&job["images"], items.len());
                count += items.len();
            }
            prop_assert_eq!(count, images);
            prop_assert_eq!(read.unchanged, plan.unchanged);
        }
    }
}
