//! Small broken projects through the built binary and Docker: what their authors read.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{FakeRunner, Ran};

use crate::any_image::images;

fn run(project: &str, inputs: &[(&str, &str)]) -> Ran {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .env("PATH", &std::env::var("PATH").unwrap())
        .input("image", &format!("seaworthy-ci-fixture:{project}"))
        .input("context", project)
        .input("token", "");
    let files = here.join("tests/fixtures").join(project);
    for entry in std::fs::read_dir(files).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        step = step.file(&format!("{project}/{name}"), &text);
    }
    if inputs.iter().any(|(name, _)| *name == "lock-file") {
        let cache = database(step.directory());
        step = step
            .input("cache-directory", &cache.to_string_lossy())
            .input("offline", "true");
    }
    let step = inputs
        .iter()
        .fold(step, |step, (name, value)| step.input(name, value));
    let ran = step.run();
    let left = images("seaworthy-ci-fixture");
    assert_eq!(left, "", "no image of code that failed a check");
    if !ran.output("sarif-file").is_empty() {
        let file = step.workspace().join(ran.output("sarif-file"));
        assert_eq!(testkit::sarif_objections(&file), Vec::<String>::new());
    }
    ran
}

// The local advisories as Trivy's database.
fn database(directory: &Path) -> PathBuf {
    let cache = directory.join("workspace/cache");
    let advisories =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/trivy-db/advisories.yaml");
    let status = Command::new("trivy-db")
        .arg(advisories)
        .arg(cache.join("db"))
        .status();
    assert!(status.unwrap().success());
    cache
}

/// The annotations, then the summary.
fn output(ran: &Ran) -> String {
    let annotations = ran
        .log
        .lines()
        .filter(|line| line.starts_with("::error") || line.starts_with("::warning"));
    let annotations: Vec<_> = annotations.collect();
    // The table of builds depends on the cache and the network.
    let summary = ran.summary.split("<details><summary>Build: ").next();
    format!("{}\n\n{}", annotations.join("\n"), summary.unwrap())
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    for (pattern, with) in [
        (r"sha256:[0-9a-f]{64}", "sha256:…"),
        (r"\d+\.\d+ s\b", "… s"),
        (r"\d+\.\d MB", "… MB"),
        (r"(?m)^#\d+ \d+\.\d+ ", ""),
        (r"in \d+\.\d+s =", "in …s ="),
    ] {
        settings.add_filter(pattern, with);
    }
    settings
}

#[test]
#[ignore = "real: needs Docker"]
fn a_failing_test() {
    let ran = run("failing-test", &[]);
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert_eq!(ran.output("tests"), "2");
    assert_eq!(ran.output("failures"), "1");
    assert_eq!(ran.output("health-status"), "healthy");
    settings().bind(|| insta::assert_snapshot!("failing-test", output(&ran)));
}

#[test]
#[ignore = "real: needs Docker"]
fn a_build_that_fails() {
    let ran = run("broken-build", &[]);
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert_eq!(ran.output("image-id"), "");
    // The tests do not depend on what is broken.
    assert_eq!(ran.output("failures"), "0");
    settings().bind(|| insta::assert_snapshot!("broken-build", output(&ran)));
}

#[test]
#[ignore = "real: needs Docker and Trivy"]
fn a_vulnerable_dependency() {
    let inputs = [
        ("lock-file", "vulnerable-dependency/requirements.txt"),
        ("fail-on", "medium"),
    ];
    let ran = run("vulnerable-dependency", &inputs);
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert_eq!(ran.output("vulnerabilities"), "1");
    assert_eq!(ran.output("sarif-file"), "ci.sarif");
    settings().bind(|| insta::assert_snapshot!("vulnerable-dependency", output(&ran)));
}
