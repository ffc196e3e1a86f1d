//! Secrets of a build, with Docker.

use std::process::Command;

use testkit::{FakeRunner, Ran};

const IMAGE: &str = "seaworthy-ci-real:secrets";
// The steps compare hashes, since a build may print its own text.
const DOCKERFILE: &str = "\
FROM debian:trixie-slim
RUN --mount=type=secret,id=token,required=true sha256sum /run/secrets/token | grep -q ^82c824aaeb8a331d
RUN --mount=type=secret,id=config,target=/etc/pip.conf sha256sum /etc/pip.conf | grep -q ^492006e2850fc276
RUN --mount=type=secret,id=other test ! -e /run/secrets/other
";

fn run(secrets: &str) -> Ran {
    // Without a cache, every step has to read its secret.
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", DOCKERFILE)
        .input("image", IMAGE)
        .input("test-target", "none")
        .input("health-path", "none")
        .input("static-analysis", "none")
        .input("no-cache", "true");
    step.input("build-secrets", secrets).run()
}

#[test]
#[ignore = "real: needs Docker"]
fn only_the_step_sees_its_secret() {
    let ran = run("token=s3cr3t-word\nconfig=\"[global]\nindex-url = h1dden\n\"");
    assert_eq!(ran.code, 0, "{}", ran.log);
    let masks = |line: &&str| line.starts_with("::add-mask::");
    let output: Vec<_> = ran.log.lines().filter(|line| !masks(line)).collect();
    let output = output.join("\n") + &ran.summary;
    assert!(
        !output.contains("s3cr3t-word") && !output.contains("h1dden"),
        "{output}"
    );
    for word in ["s3cr3t-word", "index-url = h1dden"] {
        assert!(
            ran.log.contains(&format!("::add-mask::{word}\n")),
            "{}",
            ran.log
        );
    }
    let image = |args: &[&str]| {
        let done = Command::new("docker")
            .args(args)
            .arg(IMAGE)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let metadata = image(&["history", "--no-trunc"]) + &image(&["image", "inspect"]);
    assert!(
        metadata.contains("/run/secrets") && !metadata.contains("s3cr3t"),
        "{metadata}"
    );
    image(&["image", "rm", "--force"]);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_missing_required_secret_fails_the_step() {
    for secrets in ["", "config=x"] {
        let ran = run(secrets);
        assert_eq!(ran.code, 1, "{}", ran.log);
        assert!(
            ran.error().contains("secret token not found"),
            "{}",
            ran.error()
        );
    }
}
