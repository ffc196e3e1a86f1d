//! Linters as a project has them, with Docker: their programs are scripts that print what the real ones print.

use testkit::{FakeRunner, Ran};

const DOCKERFILE: &str = "\
FROM debian:trixie-slim AS test
COPY bin/ /usr/local/bin/
RUN chmod 755 /usr/local/bin/*
WORKDIR /app
COPY app.py .
CMD [\"/bin/sh\", \"-c\", \"echo '<testsuite><testcase name=\\\"a\\\"/></testsuite>' > /tmp/junit.xml\"]
";
/// Without `--output json`, which mypy has since 1.11.
const MYPY: &str = r#"#!/bin/sh
case "$*" in
--version) echo "mypy 1.10.0 (compiled: yes)" ;;
*--output*) echo "mypy: error: unrecognized arguments: --output json" >&2; exit 2 ;;
*) echo 'app.py:3: error: Name "x" is not defined  [name-defined]'; exit 1 ;;
esac
"#;
const RUFF: &str = r#"#!/bin/sh
case "$*" in
--version) echo "ruff 0.4.1" ;;
*) echo "ruff failed: cannot parse ruff.toml" >&2; exit 2 ;;
esac
"#;

fn run(static_analysis: &str) -> Ran {
    FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", DOCKERFILE)
        .file("app.py", "\n\nx\n")
        .file("bin/mypy", MYPY)
        .file("bin/ruff", RUFF)
        .input("image", "seaworthy-ci-linters:1")
        .input("junit-path", "/tmp/junit.xml")
        .input("health-path", "none")
        .input("static-analysis", static_analysis)
        .input("fail-on-analysis", "none")
        .input("token", "")
        .run()
}

#[test]
#[ignore = "real: needs Docker"]
fn an_old_version_is_read_and_one_that_cannot_run_is_reported() {
    let ran = run("auto");
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("findings"), "1");
    for text in [
        "mypy 1.10.0 (compiled: yes) does not know the options of newer ones; its text is read",
        "::warning file=app.py,line=3,endLine=3",
        "::warning::ruff could not run: ruff 0.4.1: exited with code 2: ruff failed: cannot parse ruff.toml",
    ] {
        let text = text.replace("::warning file", "::error file");
        assert!(ran.log.contains(&text), "{text}: {}", ran.log);
    }
    assert!(
        ran.summary.contains("ruff could not run"),
        "{}",
        ran.summary
    );
    let ran = run("ruff");
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(
        ran.error()
            .contains("failed to run ruff: exited with code 2"),
        "{}",
        ran.error()
    );
    let _ = std::process::Command::new("docker")
        .args(["image", "rm", "--force", "seaworthy-ci-linters:1"])
        .output();
}
