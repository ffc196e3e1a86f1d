//! Tests that run in another image, with a copy of the workspace, and next to the application.

use crate::any_image::{Step, green, images, networks, red};

const IMAGE: &str = "debian:trixie-slim";
/// The repository of the images that are made of it.
const NAME: &str = "seaworthy-ci-test";
/// A request of the application, from a directory that the build context of an image rarely has.
const CHECK: &str = r#"
use IO::Socket::INET;
my ($address, $path) = $ENV{URL} =~ m{//([^/]+)(/.*)} or die "no URL";
my $server = IO::Socket::INET->new($address) or die "no application: $@";
print $server "GET $path HTTP/1.1\r\nHost: $address\r\n\r\n";
my $line = <$server>;
die "it responded with $line" unless $line =~ / 200 /;
"#;
const TESTS: &str = r#"
test ! -e .git
perl e2e/check.pl
mkdir out
echo '<testsuite><testcase name="up"/></testsuite>' > out/junit.xml
"#;

fn step(name: &str) -> Step {
    Step::new(name)
        .file("e2e/check.pl", CHECK)
        .file(".dockerignore", "e2e\n")
        .file(".git/config", "[http]\nextraheader = secret\n")
        .input("test-target", "")
        .input("test-image", IMAGE)
        .input("test-command", TESTS)
        .input("test-env", "URL=http://app:8000/up")
        .input("junit-path", "out/junit.xml")
}

#[test]
#[ignore = "real: needs Docker"]
fn tests_in_another_image_have_the_workspace_and_reach_the_application() {
    let step = step("beside");
    let ran = step.run();
    green(&ran);
    assert_eq!(ran.output("tests"), "1");
    for line in [
        "the workspace is in `/github/workspace`, the working directory is `/github/workspace`",
        "the application runs next to the tests as `app`, healthy by `GET /up` after",
        "Run the tests of the image `debian:trixie-slim`",
    ] {
        assert!(ran.log.contains(line), "{line}: {}", ran.log);
    }
    // What the tests write stays in their container.
    assert!(!step.step.workspace().join("out").exists());
    assert_eq!((networks(), images(NAME)), (String::new(), String::new()));
    // A registry's image is pulled, and one that does not exist is named.
    let ran = step.input("test-image", "127.0.0.1:1/none:1").run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(ran.error().contains("127.0.0.1:1/none:1"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_that_no_test_names_does_not_run_next_to_them() {
    let report = r#"<testsuite><testcase classname="e2e" name="up" file="/github/workspace/e2e/check.pl" line="3"><failure message="down"/></testcase></testsuite>"#;
    let command = format!("test \"$PWD\" = /github/workspace/service\necho '{report}' > r.xml");
    let ran = step("alone")
        .file("service/Dockerfile", "FROM debian:trixie-slim\n")
        .input("context", "service")
        .input("test-command", &command)
        .input("test-env", "")
        .input("junit-path", "r.xml")
        .input("health-path", "none")
        .run();
    red(&ran, &["1 of 1 test failed: e2e::up"]);
    assert!(!ran.log.contains("next to the tests"), "{}", ran.log);
    let annotation = "::error file=e2e/check.pl,line=3::e2e::up: down";
    assert!(ran.log.contains(annotation), "{}", ran.log);

    let ran = step("unnamed")
        .input("test-env", "URL=http://localhost/up")
        .run();
    let note = "the application does not run next to the tests: neither `test-command` nor `test-env` names its host, such as `http://app:8000`";
    assert!(ran.log.contains(note), "{}", ran.log);
    let ran = step("unchecked").input("health-path", "none").run();
    let note = "::notice::the application does not run next to the tests, which name its host `app`: with `health-path: none`, nothing says when it is healthy";
    assert!(ran.log.contains(note), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn tests_whose_application_is_not_healthy_do_not_run() {
    let ran = step("unhealthy")
        .input("smoke-env", "BIND=127.0.0.1")
        .input("smoke-timeout", "2s")
        .run();
    // The smoke test is the verdict, and the log says that there is none of the tests.
    red(&ran, &["nothing listens on its port"]);
    let problem =
        "the tests did not run, since the application that they reach as `app` is not healthy: ";
    assert!(ran.log.contains(problem), "{}", ran.log);
    assert_eq!(ran.output("tests"), "");

    let ran = step("unbuilt")
        .file("Dockerfile", "FROM debian:trixie-slim\nRUN exit 3\n")
        .run();
    red(&ran, &["RUN exit 3"]);
    let problem = "the tests did not run, since the application that they reach was not built";
    assert!(ran.log.contains(problem), "{}", ran.log);
    assert_eq!((networks(), images(NAME)), (String::new(), String::new()));
}

#[test]
#[ignore = "real: needs Docker"]
fn a_failed_test_comes_with_the_applications_log() {
    let app = "print STDERR \"it has no table\\n\";";
    let ran = step("log")
        .input("smoke-command", &format!("perl -e '{app} do(q(/app.pl))'"))
        .input("test-env", "URL=http://app:8000/missing")
        .input("test-command", "perl e2e/check.pl || failed=1\nmkdir out\nif test $failed; then failure='<failure message=\"404\"/>'; fi\necho \"<testsuite><testcase name='up'>$failure</testcase></testsuite>\" > out/junit.xml")
        .run();
    red(&ran, &["1 of 1 test failed: up"]);
    let title = "::group::Last lines of the application next to the tests";
    let after = ran.log.split_once(title).map(|(_, after)| after);
    assert!(
        after.is_some_and(|log| log.contains("it has no table")),
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn a_report_of_an_earlier_step_is_not_one_of_these_tests() {
    let ran = step("stale")
        .file("junit.xml", "<testsuite><testcase name='old'/></testsuite>")
        .input("junit-path", "junit.xml")
        .input("test-command", "stat -c %Y e2e/check.pl")
        .run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let problem = "the tests exited with code 0 and left no JUnit report at `junit.xml`";
    assert!(ran.error().contains(problem), "{}", ran.error());
    // What the application logged is shown without a report, too, and files have their times.
    let title = "::group::Last lines of the application next to the tests";
    assert!(ran.log.contains(title), "{}", ran.log);
    assert!(!ran.log.contains("\n0\n"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn the_limit_of_memory_that_tests_exhaust_is_named() {
    let report = "echo '<testsuite><testcase name=\"first\"/></testsuite>' > /tmp/junit.xml";
    let command = format!("{report}\nperl -e '$x = \"x\" x 400_000_000'");
    let step = step("memory")
        .input("test-memory", "64")
        .input("test-command", &command)
        .input("test-env", "")
        .input("junit-path", "/tmp/junit.xml")
        .input("health-path", "none");
    let ran = step.run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let problem = "the tests were killed for lack of memory (exit code 137), though none of the 1 that are reported failed: they had 64 MB, as `test-memory` says";
    assert!(ran.error().contains(problem), "{}", ran.error());
    let ran = step.input("test-memory", "1000").run();
    assert_eq!(ran.code, 0, "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn the_limit_of_processors_that_holds_tests_back_is_named() {
    let ran = step("cpus")
        .input("test-cpus", "0.2")
        .input("static-analysis", "none")
        .input("test-timeout", "3s")
        .input("test-command", "perl -e '1 while 1'")
        .input("test-env", "")
        .input("health-path", "none")
        .run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let problem = "the test run timed out after 3 seconds (`test-timeout`)";
    assert!(ran.error().contains(problem), "{}", ran.error());
    let note = "::warning::`test-cpus: 0.2` held the tests back in ";
    assert!(ran.log.contains(note), "{}", ran.log);
}
