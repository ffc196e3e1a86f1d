//! What is generated from declarations; the tests that check it are among the unit and process tests.

use crate::actions::{self, ACTIONS};
use crate::paths;
use crate::setup::command::{command, run};

/// The test of each action that compares, or writes.
const TEST: &str = "action_yml_and_readme_are_generated_from_the_declaration";

/// Write the inputs and outputs of each `action.yml`, the tables of the READMEs, and the stages of `Dockerfile.action`.
///
/// # Errors
/// When an action does not compile, or a file has lost its markers.
pub(crate) fn write() -> anyhow::Result<()> {
    actions::generate()?;
    let mut test = command("cargo", ["test", "--quiet", "--no-fail-fast"]);
    test.args(
        ACTIONS
            .iter()
            .map(|action| format!("--package={}", action.name)),
    )
    .args(["--test", "process", TEST]);
    run(test
        .env("SEAWORTHY_GENERATE", "1")
        .current_dir(paths::root()))
}
