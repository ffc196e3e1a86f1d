//! A release, up to what only GitHub and Sigstore can do.

use std::process::Command;

use pipeline_tests::{actions, program};

/// The log of a successful dry run, unless this tree has passed it before.
fn dry_run(options: &[&str]) -> Option<String> {
    let ran = Command::new(program("xtask"))
        .args(["release", "dry-run", "--if-changed"])
        .args(options)
        .output()
        .expect("xtask starts");
    let log = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(ran.status.success(), "{log}");
    (!log.contains("has passed the dry run before")).then_some(log)
}

fn has(log: &str, text: &str) {
    assert!(log.contains(text), "`{text}` is not in:\n{log}");
}

#[test]
#[ignore = "real: needs the local stack"]
fn a_release_is_reproduced_tested_as_built_and_deploys_the_application() {
    let Some(log) = dry_run(&[]) else { return };
    for action in actions() {
        has(&log, &format!("✓ testing the image of {action} "));
        has(
            &log,
            &format!("✓ writing the SBOM of the image of {action} "),
        );
    }
    // A missing line means that they were not compared.
    assert!(
        log.contains(" twice\n") || log.contains("were reproduced before"),
        "{log}"
    );
    has(&log, "left to the workflow on GitHub:");
}

#[test]
#[ignore = "real: needs the local stack, and compiles everything a second time"]
fn the_programs_of_a_release_are_judged_by_a_second_builder() {
    let Some(log) = dry_run(&["--second-builder"]) else {
        return;
    };
    assert!(
        log.contains("two builders made the same programs")
            || log.contains("were reproduced before"),
        "{log}"
    );
}
