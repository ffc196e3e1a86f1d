//! A release, up to what only GitHub and Sigstore can do.

use std::process::Command;

use pipeline_tests::{actions, program};

#[test]
#[ignore = "real: needs the local stack"]
fn a_release_is_reproduced_tested_as_built_and_deploys_the_application() {
    let ran = Command::new(program("xtask"))
        .args(["release", "dry-run", "--if-changed"])
        .output()
        .expect("xtask starts");
    let log = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(ran.status.success(), "{log}");
    if log.contains("has passed the dry run before") {
        return;
    }
    let has = |text: &str| assert!(log.contains(text), "`{text}` is not in:\n{log}");
    for action in actions() {
        has(&format!("✓ testing the image of {action} "));
        has(&format!("✓ writing the SBOM of the image of {action} "));
    }
    // A missing line means that they were not compared.
    assert!(
        log.contains(" twice\n") && log.contains("two builders made the same programs")
            || log.contains("were reproduced before"),
        "{log}"
    );
    has("left to the workflow on GitHub:");
}
