//! The built binary in the environment of a step, with a Trivy of the test's own.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

mod base_branch;
mod bills;
mod database;
mod faults;
mod gate;
mod github;
mod input;
mod real;
mod report;
mod step;
mod targets;

use std::path::Path;

#[test]
fn action_yml_and_readme_are_generated_from_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    testkit::contract::check(&trivy_scan::ACTION, &root);
}
