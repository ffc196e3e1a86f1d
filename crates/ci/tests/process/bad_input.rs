//! Mistakes that are found before anything is started.

use testkit::FakeRunner;

const DOCKERFILE: &str = "FROM debian:trixie-slim AS build\nFROM build AS test\nFROM build\n";

// Docker that cannot be there: a mistake is found before anybody asks for it.
fn step() -> FakeRunner {
    FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("app/Dockerfile", DOCKERFILE)
        .env("DOCKER_HOST", "unix:///nonexistent.sock")
        .input("image", "app:1")
        .input("context", "app")
}

#[test]
fn bad_input_is_one_error_with_cause_and_cure() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("imgae", "x")],
            "input `imgae` is unknown; did you mean `image`?",
        ),
        (
            &[("image", "")],
            "input `image`: is required (Name of the image to build, as `name:tag`.)",
        ),
        (
            &[("image", "Flask:1")],
            "input `image`: `Flask:1`: invalid repository name `Flask`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
        ),
        (
            &[("context", "src")],
            "input `context`: there is no folder `src` in the workspace",
        ),
        (
            &[("dockerfile", "Containerfile")],
            "input `dockerfile`: `Containerfile` in `app` cannot be read: No such file or directory (os error 2)",
        ),
        (
            &[("test-target", "unit")],
            "input `test-target`: `Dockerfile` has no stage `unit`; its stages: `build`, `test`; `none` builds without tests",
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
            "input `build-args`: `::set-env name` is no name of a build argument",
        ),
    ];
    for (given, message) in table {
        let step = given
            .iter()
            .fold(step(), |step, (name, value)| step.input(name, value));
        let ended = step.run();
        assert_eq!(ended.code, 3, "{}", ended.log);
        assert_eq!(ended.log, format!("::error::ci: {message}\n"));
        assert_eq!(ended.output("result"), "error");
        assert_eq!(ended.outputs.len(), ci::ACTION.outputs.len());
        assert!(
            ended.summary.contains("bad input") && ended.summary.contains(message),
            "{}",
            ended.summary
        );
    }
}

#[test]
fn without_an_engine_there_is_no_verdict() {
    let ended = step().run();
    assert_eq!(ended.code, 2);
    assert_eq!(ended.output("result"), "error");
    insta::assert_snapshot!(ended.log, @"
    ::error::ci: while connecting to Docker at `/nonexistent.sock`: is Docker running, and is its socket mounted into this container?: there is no such socket
    ");
    insta::assert_snapshot!(ended.summary, @"
    ### ❌ ci: error

    ```text
    while connecting to Docker at `/nonexistent.sock`: is Docker running, and is its socket mounted into this container?: there is no such socket
    ```
    ");
}
