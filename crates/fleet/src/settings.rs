//! What a result depends on, except for the image.

use actions_toolkit::Context;
use oci::Digest;
use registries::{LoginInputs, SelectionInputs};

use crate::FleetInputs;

/// Inputs that change how an image is reached or when it is done, and not its result; each job of a matrix has its own `matrix`.
const OTHERS: [&str; 12] = [
    FleetInputs::fleet,
    FleetInputs::fleet_directory,
    FleetInputs::fleet_shards,
    FleetInputs::fleet_max_age,
    LoginInputs::registries,
    LoginInputs::registry_username,
    SelectionInputs::registry,
    SelectionInputs::repositories,
    SelectionInputs::exclude,
    "cache-directory",
    "concurrency",
    "matrix",
];

/// A digest of the inputs on which a result depends, and of what else it depends on.
pub(crate) fn settings(ctx: &Context, dependencies: &[String]) -> String {
    let mut text = ctx.input_texts(&OTHERS);
    for dependency in dependencies {
        text.push_str(Digest::sha256(dependency.as_bytes()).as_str());
    }
    Digest::sha256(text.as_bytes()).to_string()
}
