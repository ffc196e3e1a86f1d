//! The declaration compared with `action.yml` and the README.

use std::path::Path;

#[test]
fn action_yml_and_readme_are_generated_from_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    testkit::contract::check(&copacetic_patch::ACTION, &root);
    testkit::contract::check_network(&copacetic_patch::ACTION, copacetic_patch::NETWORK, &root);
}
