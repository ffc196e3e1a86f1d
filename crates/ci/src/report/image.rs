//! The parts of the summary on the image and its builds.

use std::time::Duration;

use actions_toolkit::text::{self, Table};

use super::{cut, details, size, time};
use crate::outcome::Outcome;

/// Bytes of an instruction.
const INSTRUCTION: usize = 100;

/// The layers that have content.
pub(super) fn layers(md: &mut String, outcome: &Outcome) {
    let mut table = Table::new(["Instruction", "Size"]).numbers([1]);
    let layers = outcome.image.layers.iter().filter(|layer| layer.size > 0);
    table.extend(layers.map(|layer| {
        let instruction = match cut(&layer.instruction, INSTRUCTION) {
            "" => "(the base image)",
            instruction => instruction,
        };
        [text::code(instruction), size(layer.size)]
    }));
    details(md, "Layers", &table);
}

/// The stages of the builds.
pub(super) fn builds(md: &mut String, outcome: &Outcome) {
    let both = [&outcome.tests.build, &outcome.image.build];
    let builds: Vec<_> = both
        .into_iter()
        .filter_map(|build| build.build.as_ref())
        .collect();
    // They run in parallel.
    let longest: Option<Duration> = builds.iter().map(|build| build.time).max();
    let Some(longest) = longest else {
        return;
    };
    let mut table =
        Table::new(["Build", "Stage", "Steps", "From cache", "Time"]).numbers([2, 3, 4]);
    for build in builds {
        table.extend(build.stages.iter().map(|stage| {
            [
                text::markdown(&build.title.replace('`', "")),
                text::markdown(&stage.name),
                stage.steps.to_string(),
                stage.cached.to_string(),
                format!("{:.1} s", stage.seconds),
            ]
        }));
    }
    // Also without a finished step: the time is that of the whole build.
    super::details_always(md, &format!("Build: {}", time(longest)), &table);
}
