//! The built binary in the environment of a step, with a fake Trivy.

#![expect(clippy::unwrap_used, reason = "a panic is the report of a test")]

mod base_branch;
mod database;
mod dismissed;
mod endless;
mod exploitation;
mod faults;
mod filters;
mod fleet;
mod gate;
mod github;
mod goldens;
mod identity;
mod input;
mod killed;
mod legs;
mod network;
mod parallel;
mod placement;
mod platforms;
mod real;
mod registry;
mod report;
mod sarif_files;
mod sboms;
mod secrets;
mod server;
mod settings;
mod step;
mod targets;
mod vex;

use std::path::Path;

#[test]
fn action_yml_and_readme_are_generated_from_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    testkit::contract::check(&trivy_scan::ACTION, &root);
    testkit::contract::check_network(&trivy_scan::ACTION, trivy_scan::NETWORK, &root);
}
