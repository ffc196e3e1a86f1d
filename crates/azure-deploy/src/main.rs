//! The `azure-deploy` binary.
fn main() {}
