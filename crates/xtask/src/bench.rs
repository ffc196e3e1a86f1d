//! Benchmarks: ratios measured side by side in one run.

use anyhow::bail;

/// Run the benchmark `name`.
///
/// # Errors
/// When there is none of that name, or a part of it fails.
pub(crate) fn run(name: &str) -> anyhow::Result<()> {
    bail!("there is no benchmark `{name}`")
}
