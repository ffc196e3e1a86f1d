//! Reports of tests at other paths than the default one, with Docker.

use fake_github::GitHub;
use testkit::{FakeRunner, Ran};

/// A step whose stage `test` runs `script` in `/srv`.
pub(crate) fn step(name: &str, script: &str) -> FakeRunner {
    let dockerfile = "FROM debian:trixie-slim AS test\nCOPY tests.sh /\nWORKDIR /srv\nCMD [\"/bin/sh\", \"/tests.sh\"]\n";
    FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", dockerfile)
        .file("tests.sh", script)
        .input("image", &format!("seaworthy-ci-reports:{name}"))
        .input("health-path", "none")
        .input("static-analysis", "none")
        .input("token", "")
}

/// A line of a script that writes a report with a test of each of the given bodies.
fn writes(path: &str, cases: &[&str]) -> String {
    let cases = cases.iter().zip(1..);
    let cases =
        cases.map(|(inside, number)| format!("<testcase name=\"{number}\">{inside}</testcase>"));
    let cases = cases.collect::<Vec<_>>().concat();
    format!("echo '<testsuite name=\"s\">{cases}</testsuite>' > {path}\n")
}

fn counts(ran: &Ran) -> [&str; 3] {
    ["tests", "failures", "flaky"].map(|name| ran.output(name))
}

fn remove(name: &str) {
    let image = format!("seaworthy-ci-reports:{name}");
    let _ = std::process::Command::new("docker")
        .args(["image", "rm", "--force", &image])
        .output();
}

#[test]
#[ignore = "real: needs Docker"]
fn several_reports_are_found_by_a_glob() {
    let script = "mkdir -p out/deep\n".to_owned()
        + &writes("out/TEST-a.xml", &["", ""])
        + &writes("out/TEST-b.xml", &[""])
        + &writes("out/deep/TEST-c.xml", &[""]);
    let step = step("glob", &script).input("junit-path", "out/TEST-*.xml");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(counts(&ran), ["3", "0", "0"]);
    let merged = std::fs::read_to_string(step.workspace().join("junit.xml"));
    assert_eq!(merged.unwrap().matches("<testsuite ").count(), 2);
    let ran = step.input("junit-path", "nowhere/*.xml").run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let expected = "left no JUnit report at `nowhere/*.xml`";
    assert!(ran.error().contains(expected), "{}", ran.error());
    remove("glob");
}

#[test]
#[ignore = "real: needs Docker"]
fn reports_are_found_where_the_tests_wrote_them() {
    let script = writes("report.xml", &["", "<failure message=\"no\"/>"])
        + "printf 'TN:\\nSF:tests.sh\\nDA:1,1\\nDA:2,0\\nend_of_record\\n' > lcov.info\n"
        + "echo '<coverage/>' > results.xml\n";
    let ran = step("found", &script).run();
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert_eq!(counts(&ran), ["2", "1", "0"]);
    assert_eq!(ran.output("coverage"), "50.00");
    for line in [
        "JUnit report: `/srv/report.xml`, which the tests wrote",
        "coverage report: `/srv/lcov.info`, which the tests wrote",
    ] {
        assert!(ran.log.contains(line), "{}", ran.log);
    }
    let error = "1 of 2 tests failed: 2; the test command exited with code 0 all the same";
    assert!(ran.error().contains(error), "{}", ran.error());
}

#[test]
#[ignore = "real: needs Docker"]
fn a_report_that_is_too_large_is_not_called_missing() {
    let script = "mkdir /results; head -c 34000000 /dev/zero > /results/junit.xml";
    let ran = step("large", script).run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let error =
        "failed to read the JUnit report: `/results/junit.xml` in the container is larger than";
    assert!(ran.error().contains(error), "{}", ran.error());
    assert!(!ran.error().contains("left no"), "{}", ran.error());
}

#[test]
#[ignore = "real: needs Docker"]
fn the_coverage_of_the_lines_of_a_pull_request_is_reported() {
    let script = writes("report.xml", &[""])
        + "printf 'TN:\\nSF:tests.sh\\nDA:1,1\\nDA:2,0\\nDA:9,0\\nend_of_record\\n' > lcov.info\n";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(GitHub::start("t")).unwrap();
    let number = server.pull_request("A change", "topic", &"a".repeat(40), "main");
    let added: Vec<_> = script.lines().map(|line| format!("+{line}")).collect();
    let diff = format!("@@ -0,0 +1,2 @@\n{}", added.join("\n"));
    server.change(number, "tests.sh", &diff);
    let step = step("changed", &script)
        .input("token", "t")
        .input("upload", "false")
        .env("GITHUB_API_URL", &server.url());
    let event = format!(r#"{{"pull_request": {{"number": {number}}}}}"#);
    std::fs::write(step.directory().join("event.json"), event).unwrap();
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("coverage"), "33.33");
    assert_eq!(ran.output("changed-coverage"), "50.00", "{}", ran.log);
    let row = "| Changed lines | 50.00 % covered (1 of 2 that are measured) |";
    for text in [&ran.summary, &server.comments()[0]] {
        assert!(text.contains(row), "{text}");
    }
    remove("changed");
}
