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
            &[("cache-inline", "true")],
            "input `cache-inline` is unknown; use `cache-to: type=inline`",
        ),
        (
            &[("test-memory", "5")],
            "input `test-memory`: is 5; Docker requires 6 MB",
        ),
        (
            &[("test-cpus", "0")],
            "input `test-cpus`: `0` is not a number of processors, such as `2` or `0.5`",
        ),
        (
            &[("smoke-memory", "1")],
            "input `smoke-memory`: is 1; Docker requires 6 MB",
        ),
        (
            &[("compose-file", "compose.yaml")],
            "input `compose-file`: there is no `compose.yaml` in the workspace",
        ),
        (
            &[("compose-service", "web")],
            "input `compose-service`: is set without `compose-file`",
        ),
        (
            &[("baseline-coverage", "app/Dockerfile")],
            "input `baseline-coverage`: `app/Dockerfile` is invalid: not valid XML: it has text outside of its root element",
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
            &[("test-image", "node:24")],
            "input `test-image`: needs `test-command`, since an image that was not built for these tests has no command for them",
        ),
        (
            &[
                ("test-image", "node:24"),
                ("test-command", "npm test"),
                ("test-target", "test"),
            ],
            "input `test-image`: is set, and so is `test-target`; keep the one that has what the tests need",
        ),
        (
            &[("test-memory", "2g")],
            "input `test-memory`: `2g`: invalid digit found in string",
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
    check(table);
}

#[test]
fn an_invalid_input_of_a_build_is_one_error_too() {
    check(&[
        (
            &[("storage-record", "true"), ("token", "")],
            "input `token`: is required with `storage-record`: `${{ github.token }}`",
        ),
        (
            &[("cache-to", "type=gha,mode=max")],
            "input `cache-to`: `type=gha` needs the cache of a run in GitHub Actions (`ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN`)",
        ),
        (
            &[("cache-from", "type=s3,bucket=a")],
            "input `cache-from`: `type=s3,bucket=a` has the unknown type `s3`; expected one of `registry`, `gha`, `local`, `inline`",
        ),
        (
            &[("cache-from", "type=inline")],
            "input `cache-from`: `type=inline` is for `cache-to`; name the image: `type=registry,ref=…`",
        ),
        (
            &[("platforms", "linux/amd64,windows/amd64")],
            "input `platforms`: `windows/amd64` is not a platform such as `linux/amd64`, `linux/arm64` or `linux/arm/v7`",
        ),
        (
            &[("build-contexts", "shared=shared")],
            "input `build-contexts`: there is no directory `shared` in the workspace",
        ),
        (
            &[("outputs", "type=docker")],
            "input `outputs`: `type=docker` is not needed: the image is in Docker after the step",
        ),
        (
            &[("annotations", "layer:a=b")],
            "input `annotations`: `layer` in `layer:a=b` is not one of `manifest`, `index`, `manifest-descriptor`, `index-descriptor`",
        ),
        (
            &[("provenance", "max")],
            "input `provenance`: invalid value `max`; expected `true`, `false` or parameters such as `mode=max`",
        ),
        (
            &[("ssh", "default")],
            "input `ssh`: `default` has no socket, and `SSH_AUTH_SOCK` is not set; write `default=SOCKET`",
        ),
        (
            &[("ssh", "default=app/Dockerfile")],
            "input `ssh`: `app/Dockerfile` is not the socket of an SSH agent; start one with `ssh-agent -a \"$RUNNER_TEMP/agent.sock\"`, and add the key with `ssh-add`",
        ),
        (
            &[("secret-files", "npmrc=.npmrc")],
            "input `secret-files`: there is no `.npmrc` in the workspace",
        ),
    ]);
}

fn check(table: &[(&[(&str, &str)], &str)]) {
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
fn a_workspace_that_is_too_large_to_copy_is_named() {
    let step = step()
        .file("data/large.txt", &"x".repeat(1_500_000))
        .input("context-limit", "1")
        .input("test-command", "npm test");
    // The context alone is small.
    assert_eq!(step.run().code, 2);
    let ran = step.input("test-image", "node:24").run();
    let message = "input `test-image`: the workspace is 2 MB, over the `context-limit` of 1 MB (largest file: `data/large.txt`, 2 MB); remove what the tests do not need before this step";
    assert_eq!((ran.code, ran.error()), (3, format!("ci: {message}")));
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
