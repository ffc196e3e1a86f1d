//! The `ci` binary.
fn main() {}
