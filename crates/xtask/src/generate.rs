//! What is generated from declarations; the tests that check it are among the unit and process tests.

use crate::actions::{self, ACTIONS};
use crate::paths;
use crate::setup::command::{command, run};

/// The test of each action that compares, or writes.
const TEST: &str = "action_yml_and_readme_are_generated_from_the_declaration";

/// The test of `docs/migrate.md`, which compares, or writes.
const PAGE_TEST: &str = "the_page_has_the_table";

/// Write the inputs and outputs of each `action.yml`, the tables of the READMEs and of `docs/migrate.md`, and the stages of `Dockerfile.action`.
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
    let mut page = command("cargo", ["test", "--quiet", "--package=migrate"]);
    page.args(["--test", "workflows", PAGE_TEST]);
    for test in [&mut test, &mut page] {
        run(test
            .env("SEAWORTHY_GENERATE", "1")
            .current_dir(paths::root()))?;
    }
    Ok(())
}
