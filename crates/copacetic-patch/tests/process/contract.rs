//! The declaration against what authors read.

use std::path::Path;

#[test]
fn the_declaration_is_what_authors_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(
        testkit::contract::differences(&copacetic_patch::ACTION, &root),
        Vec::<String>::new()
    );
}
