//! The declaration compared with `action.yml` and the README.

use std::path::Path;

#[test]
fn action_yml_and_the_readme_match_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(
        testkit::contract::differences(&copacetic_patch::ACTION, &root),
        Vec::<String>::new()
    );
}
