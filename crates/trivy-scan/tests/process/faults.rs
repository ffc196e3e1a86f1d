//! A Trivy without a verdict: exit code 2, never a finding.

use crate::step::{step, trivy_that};

#[test]
fn a_failed_trivy_is_not_a_finding() {
    let table = [
        (
            "*) echo 'panic: runtime error' >&2; exit 2 ;;",
            "Trivy crashed",
        ),
        ("*) echo '[]' ;;", "is not the expected JSON"),
        ("*) ;;", "is not the expected JSON"),
        (
            "*) printf '{\"SchemaVersion\":2,\"Res' ;;",
            "is not the expected JSON",
        ),
        (
            "*) echo '{\"SchemaVersion\":3}' ;;",
            "is not the expected JSON",
        ),
        (
            "*) echo '2026 FATAL Fatal error run error: unable to find the specified image \"app:1\"' >&2; exit 1 ;;",
            "was found neither in Docker nor in its registry",
        ),
        ("*) kill -9 $$ ;;", "Trivy failed with signal: 9"),
    ];
    for (script, message) in table {
        let ran = step().tool("trivy", &trivy_that(script)).run();
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{}",
            ran.log
        );
        assert!(ran.error().contains(message), "{}", ran.error());
    }
}

#[test]
fn a_trivy_that_hangs_is_stopped() {
    let ran = step()
        .tool("trivy", &trivy_that("*) exec sleep 60 ;;"))
        .input("timeout", "1s")
        .run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(
        ran.error().contains("Trivy timed out after 1s (`timeout`)"),
        "{}",
        ran.error()
    );
}

#[test]
fn a_stopped_step_does_not_wait_for_trivy() {
    // The step is stopped by its own child, which would go on for ten minutes.
    let script = trivy_that("*) kill -TERM $PPID; exec sleep 600 ;;");
    let started = std::time::Instant::now();
    let ran = step().tool("trivy", &script).run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("stopped by SIGTERM"), "{}", ran.log);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn a_trivy_that_prints_without_an_end_is_stopped() {
    let ran = step().tool("trivy", &trivy_that("*) exec yes ;;")).run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let message = "it printed more than 256 MiB to its standard output and was stopped";
    assert!(ran.error().contains(message), "{}", ran.error());
}

#[test]
fn the_output_of_trivy_is_not_a_workflow_command() {
    let scan = "*) echo '::set-output name=x::y' >&2; echo '::error::from outside' >&2; echo '{\"SchemaVersion\":2}' ;;";
    let ran = step().tool("trivy", &trivy_that(scan)).run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    // The runner reads no command between the two lines that carry the token.
    let lines: Vec<_> = ran.log.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == "::error::from outside");
    let at = at.unwrap();
    let stop = lines[..at]
        .iter()
        .rfind(|line| line.starts_with("::stop-commands::"));
    let token = stop.unwrap().trim_start_matches("::stop-commands::");
    let resume = format!("::{token}::");
    assert!(
        !lines[..at].contains(&&*resume) && lines[at..].contains(&&*resume),
        "{}",
        ran.log
    );
}

#[test]
fn a_poisoned_trivy_is_not_run() {
    let step = step().tool("trivy", "case \"$*\" in version*) echo '{\"Version\":\"0.69.4\"}' ;; *) touch \"$(dirname \"$0\")/ran\" ;; esac");
    let ran = step.run();
    assert_eq!(ran.code, 2);
    assert!(
        ran.error().contains("published by an attacker"),
        "{}",
        ran.error()
    );
    assert!(!step.directory().join("tools/ran").exists());
}

#[test]
fn an_image_without_packages_is_not_called_clean() {
    let ran = step()
        .tool("trivy", &trivy_that("*) echo '{\"SchemaVersion\":2}' ;;"))
        .run();
    assert_eq!(ran.code, 0);
    assert!(
        ran.log
            .contains("::warning::no packages were found; there was nothing to scan"),
        "{}",
        ran.log
    );
}
