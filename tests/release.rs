//! A release, up to what only GitHub and Sigstore can do.

use std::process::Command;

use pipeline_tests::program;

#[test]
#[ignore = "real: needs the local stack"]
fn a_release_is_reproduced_tested_as_built_and_deploys_the_application() {
    let ran = Command::new(program("xtask"))
        .args(["release", "rehearse", "--if-changed"])
        .output()
        .expect("xtask starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(ran.status.success(), "{said}");
    if said.contains("was rehearsed before") {
        return;
    }
    let has = |text: &str| assert!(said.contains(text), "`{text}` is not in:\n{said}");
    for action in ["ci", "trivy-scan", "copacetic-patch", "azure-deploy"] {
        has(&format!("✓ testing the image of {action} "));
        has(&format!("✓ listing what is in the image of {action} "));
    }
    // Without a word on it they would not have been compared.
    assert!(
        said.contains(" twice\n") && said.contains("two builders made the same programs")
            || said.contains("were reproduced before"),
        "{said}"
    );
    has("left to the workflow on GitHub:");
}
