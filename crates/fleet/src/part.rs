//! The part of the work that a step does.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, WorkspacePath};
use registries::{Selection, SelectionInputs};

use crate::inputs::{FleetInputs, Part};
use crate::{Item, Plan, settings};

/// The part of a run in several jobs that a step does.
#[derive(Debug)]
pub struct Fleet {
    /// Which one.
    pub part: Part,
    /// The plan, for a shard.
    pub(crate) plan: Option<Plan>,
    pub(crate) place: Place,
    pub(crate) shards: usize,
    pub(crate) max_age: Duration,
    /// Whether a result of another day (UTC) is not one of today.
    pub(crate) is_of_a_day: bool,
    /// A digest of everything on which a result depends, except for the image.
    pub(crate) settings: String,
}

/// What a result depends on, in addition to the inputs and the image.
#[derive(Debug, Default)]
pub struct Dependencies {
    /// Digests of files, and other values.
    pub texts: Vec<String>,
    /// Whether one of the files has something that ends with a day.
    pub is_of_a_day: bool,
}

/// Whose files they are, and where.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: WorkspacePath,
    /// The name of the action.
    pub(crate) action: &'static str,
    /// The registry.
    pub(crate) host: String,
}

impl Fleet {
    /// The part of `action` that the inputs name; `None` if the step does all.
    ///
    /// # Errors
    /// [`BadInput`] when there is no registry to divide, or no plan that has the shard.
    pub fn new(
        ctx: &Context,
        action: &'static str,
        inputs: &FleetInputs,
        selection: Option<&Selection>,
        dependencies: &Dependencies,
    ) -> Result<Option<Self>, BadInput> {
        let Some(part) = inputs.fleet else {
            return Ok(None);
        };
        let Some(selection) = selection else {
            let problem = format!(
                "requires `{}`: the images of a registry are divided, by the same inputs in every job",
                SelectionInputs::registry
            );
            return Err(BadInput::new(FleetInputs::fleet, problem));
        };
        let place = Place {
            directory: inputs.fleet_directory.clone(),
            action,
            host: selection.host().to_owned(),
        };
        let settings = settings(ctx, &dependencies.texts);
        let plan = match part {
            Part::Shard(number) => Some(Plan::of_shard(&place, &settings, number)?),
            Part::Plan | Part::Merge => None,
        };
        Ok(Some(Self {
            part,
            plan,
            place,
            shards: inputs.fleet_shards.0,
            max_age: inputs.fleet_max_age.0,
            is_of_a_day: dependencies.is_of_a_day,
            settings,
        }))
    }

    /// The images of the shard; `None` for what is not one.
    pub fn items(&self) -> Option<&[Item]> {
        match (&self.plan, self.part) {
            (Some(plan), Part::Shard(number)) => plan.shard(number).ok(),
            _ => None,
        }
    }
}

impl Place {
    pub(crate) fn plan_file(&self) -> WorkspacePath {
        self.directory.join("plan.json")
    }

    pub(crate) fn shard_file(&self, number: usize) -> WorkspacePath {
        self.directory.join(&format!("shard-{number}.json"))
    }

    pub(crate) fn results_file(&self) -> WorkspacePath {
        self.directory.join("results.json")
    }
}
