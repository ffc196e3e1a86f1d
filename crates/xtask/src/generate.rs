//! What is generated from the declarations of the actions: the test that checks it writes it.

use crate::paths;
use crate::setup::command::{command, run};

/// The test of each action that compares, or writes.
const TEST: &str = "action_yml_and_readme_are_generated_from_the_declaration";

/// Write the inputs and outputs of each `action.yml`, and the tables of the READMEs.
///
/// # Errors
/// When an action does not compile, or a file has lost its markers.
pub(crate) fn write() -> anyhow::Result<()> {
    // The default members of the workspace are the actions.
    let mut test = command(
        "cargo",
        [
            "test",
            "--quiet",
            "--no-fail-fast",
            "--test",
            "process",
            TEST,
        ],
    );
    run(test
        .env("SEAWORTHY_GENERATE", "1")
        .current_dir(paths::root()))
}
