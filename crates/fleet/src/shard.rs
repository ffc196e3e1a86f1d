//! What one shard did.

use serde::{Deserialize, Serialize};

use crate::{Entry, Fleet, Item, Part, VERSION};

/// What one shard did, in the file `shard-N.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardFile {
    pub(crate) version: u32,
    /// The plan that it is of.
    pub(crate) plan: String,
    pub(crate) images: Vec<Entry>,
}

impl Fleet {
    /// Write what the shard did: the `entry` of each of its images. Nothing for a step that is not a shard.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_shard(&self, entry: impl Fn(&Item) -> Entry) -> anyhow::Result<()> {
        let (Some(plan), Part::Shard(number), Some(items)) = (&self.plan, self.part, self.items())
        else {
            return Ok(());
        };
        let file = ShardFile {
            version: VERSION,
            plan: plan.id.clone(),
            images: items.iter().map(entry).collect(),
        };
        let bytes = serde_json::to_vec(&file)?;
        self.place.shard_file(number.number).write(&bytes)
    }
}
