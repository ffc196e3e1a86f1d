//! The `trivy-scan` binary.
fn main() {}
