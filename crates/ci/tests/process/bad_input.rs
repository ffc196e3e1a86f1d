//! Invalid inputs, which are reported before anything is started.

use testkit::FakeRunner;

const DOCKERFILE: &str = "FROM debian:trixie-slim AS build\nFROM build AS test\nFROM build\n";

// Docker is unavailable: inputs are checked before a connection.
fn step() -> FakeRunner {
    FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("app/Dockerfile", DOCKERFILE)
        .env("DOCKER_HOST", "unix:///nonexistent.sock")
        .input("image", "app:1")
        .input("context", "app")
}

#[test]
fn an_invalid_input_is_one_error_with_cause_and_hint() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("imgae", "x")],
            "input `imgae` is unknown; did you mean `image`?",
        ),
        (
            &[("image", "")],
            "input `image`: is required (Name of the image to build, as `name:tag`; without the tag where `tags` has them.)",
        ),
        (
            &[("image", "Flask:1")],
            "input `image`: `Flask:1`: invalid repository name `Flask`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
        ),
        (
            &[("image", "ghcr.io/a/app")],
            "input `image`: `ghcr.io/a/app` has no tag; write it as `name:tag`, or set `tags`",
        ),
        (
            &[("tags", "{main}")],
            "input `tags`: `{main}` has an unknown placeholder; expected one of `{sha}`, `{short-sha}`, `{branch}`, `{tag}`, `{version}`, `{major}`, `{minor}`, `{pr}`",
        ),
        (
            &[("registries", "r.example me")],
            "input `registries`: line 1 has no secret for `r.example`; write `r.example USER SECRET`, and check that the secret is set",
        ),
        (
            &[("registries", "ghcr.io"), ("token", "")],
            "input `registries`: line 1 has no secret for `ghcr.io`; write `ghcr.io USER SECRET` (without them, `token` is used), and check that the secret is set",
        ),
        (
            &[("context", "src")],
            "input `context`: there is no directory `src` in the workspace",
        ),
        (
            &[("dockerfile", "Containerfile")],
            "input `dockerfile`: `Containerfile` in `app` cannot be read: No such file or directory (os error 2)",
        ),
        (
            &[("test-target", "unit")],
            "input `test-target`: `Dockerfile` has no stage `unit`; its stages: `build`, `test`; `none` builds without tests, and `test-command` runs them in the image itself",
        ),
        (
            &[("target", "prod")],
            "input `target`: `Dockerfile` has no stage `prod`; its stages: `build`, `test`",
        ),
        (
            &[("port", "eighty")],
            "input `port`: `eighty`: invalid digit found in string",
        ),
        (
            &[("build-args", "::set-env name=X::y")],
            "input `build-args`: `::set-env name` is not a valid name of a build argument",
        ),
    ];
    for (inputs, message) in table {
        let step = inputs
            .iter()
            .fold(step(), |step, (name, value)| step.input(name, value));
        let ran = step.run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        let masked = |line: &&str| !line.starts_with("::add-mask::");
        let log: Vec<_> = ran.log.lines().filter(masked).collect();
        assert_eq!(log, [format!("::error::ci: {message}")]);
        assert_eq!(ran.output("result"), "error");
        assert_eq!(ran.outputs.len(), ci::ACTION.outputs.len());
        assert!(
            ran.summary.contains("bad input") && ran.summary.contains(message),
            "{}",
            ran.summary
        );
    }
}

#[test]
fn without_docker_there_is_no_verdict() {
    let ran = step().run();
    assert_eq!(ran.code, 2);
    assert_eq!(ran.output("result"), "error");
    insta::assert_snapshot!(ran.log, @"
    ::error::ci: failed to connect to Docker at `/nonexistent.sock`: the socket does not exist; is Docker running, and is its socket mounted into this container?
    ");
    insta::assert_snapshot!(ran.summary, @"
    ### ❌ ci: error

    ```text
    failed to connect to Docker at `/nonexistent.sock`: the socket does not exist; is Docker running, and is its socket mounted into this container?
    ```
    ");
}
