//! The `copacetic-patch` binary.
fn main() {}
