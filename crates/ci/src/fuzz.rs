//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::path::Path;

use actions_toolkit::Workspace;
use actions_toolkit::fuzz::value;
use registries::RegistryLines;

use crate::analysis::linters::output;
use crate::request::build::{BuildArg, Label};
use crate::request::environment::EnvVar;
use crate::request::secrets::SecretLines;
use crate::request::services::Services;
use crate::request::smoke::{CommandLine, HealthTarget};
use crate::request::tags::TagLine;
use crate::source_map::SourceMap;
use crate::test_run::coverage::Coverage;
use crate::test_run::junit::Junit;

/// A JUnit report, and the places of its failed tests.
pub fn junit(text: &str) {
    let Ok(junit) = Junit::parse(text) else {
        return;
    };
    let source_map = source_map();
    for (test, _, details) in junit.failed() {
        source_map.locate(test, details);
    }
    junit.slowest(5);
    junit.new_failures(&junit);
}

/// A coverage report in any of its formats, and the totals of one in the cache.
pub fn coverage(bytes: &[u8]) {
    let _ = crate::coverage_baseline::parse(bytes);
    if let Ok(coverage) = Coverage::parse(bytes, &source_map()) {
        coverage.percent();
        coverage.difference();
    }
}

/// The files that a build writes, unpacked into the directory `into`.
pub fn build_output(archive: &Path, into: &Path) {
    let _ = crate::builder::fuzz_output(archive, into);
}

/// The output of each linter.
pub fn linters(text: &str) {
    let _ = output::ruff(text);
    let _ = output::ruff_format(text);
    let _ = output::mypy(text);
    let _ = output::bandit(text);
    let _ = output::hadolint(text);
    output::pip_check(text);
    output::mypy_text(text);
    output::ruff_format_text(text);
    output::unparsed(text);
}

/// The input `build-secrets`.
pub fn build_secrets(text: &str) {
    value::<SecretLines>(text);
}

/// The input `services`.
pub fn services(text: &str) {
    value::<Services>(text);
}

/// A compose file, which is its own environment file, too.
pub fn compose(text: &str) {
    crate::request::compose::fuzz(text);
}

/// The inputs that have their own form.
pub fn inputs(text: &str) {
    value::<RegistryLines>(text);
    value::<HealthTarget>(text);
    value::<CommandLine>(text);
    for line in text.lines() {
        value::<TagLine>(line);
        value::<EnvVar>(line);
        value::<BuildArg>(line);
        value::<Label>(line);
    }
}

fn source_map() -> SourceMap {
    SourceMap {
        workspace: Workspace::new("/nonexistent"),
        context: Path::new("/nonexistent").to_owned(),
        workdir: Path::new("/app").to_owned(),
        module: None,
        index: crate::source_map::FileIndex::default(),
    }
}
