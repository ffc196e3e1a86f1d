//! Invalid inputs are rejected before anything is started.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use axum::body::Body;
use axum::response::Response;
use testkit::{FakeDocker, Ran, Recorder, Seen};

use crate::step;

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required, unless `registry` is set",
        ),
        (
            "image",
            "app",
            "input `image`: `app` has no tag to name the patched image after; add one, or set `patched-tag`",
        ),
        (
            "image",
            "app:a+b",
            "input `image`: `app:a+b`: invalid tag `a+b`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "patched-tag",
            "1",
            "input `patched-tag`: must not be the image's own tag: the original would be overwritten; set `replace-tags: true` to replace it",
        ),
        (
            "patched-tag",
            "\"; id",
            "input `patched-tag`: invalid tag `\"; id`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "report",
            "gone.json",
            "input `report`: there is no `gone.json` in the workspace",
        ),
        (
            "package-types",
            "library",
            "input `package-types`: invalid value `library`; expected one of `os`, `os,library`",
        ),
        (
            "timeout",
            "1000000000h",
            "input `timeout`: duration `1000000000h` is longer than any job can run; use at most `120h`",
        ),
        (
            "push",
            "true",
            "input `image`: `app:1` does not name a registry to push to; use `host/app:1`",
        ),
        (
            "image",
            "app:1\napp:1",
            "input `image`: two images would both be patched as `app:1-patched`",
        ),
        (
            "registry",
            "ghcr.io",
            "input `registry`: requires `push: true` or `push-to`: images of a registry are patched there",
        ),
        (
            "registry-username",
            "me",
            "input `registry-password`: is required with `registry-username`",
        ),
        (
            "client-id",
            "22222222-2222-4222-8222-222222222222",
            "input `tenant-id`: is required with `client-id`",
        ),
        (
            "smoke-command",
            "[1]",
            "input `smoke-command`: invalid JSON list of strings `[1]`: invalid type: integer `1`, expected a string at line 1 column 2",
        ),
        (
            "tooling-image",
            "quay.io/almalinuxorg/almalinux:9",
            "input `tooling-image`: Copa does not run its tools in `quay.io/almalinuxorg/almalinux:9`, as its name has `alma`: such images lack busybox; use one of another distribution, such as `debian:stable-slim`",
        ),
        (
            "storage-record",
            "true",
            "input `storage-record`: requires `push: true` or `push-to`: it is of the pushed image",
        ),
        (
            "issue",
            "true",
            "input `token`: is required for `issue`; grant the job `permissions: issues: write`",
        ),
        (
            "offline",
            "1",
            "input `offline`: invalid value `1`; expected one of `true`, `false`",
        ),
        ("tag", "x", "input `tag` is unknown; did you mean `tags`?"),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[test]
fn what_is_attached_needs_a_pushed_image() {
    for (name, what) in [
        ("vex-attach", "document"),
        ("sbom-attach", "SBOM"),
        ("provenance-attach", "provenance"),
    ] {
        let error = format!(
            "input `{name}`: requires `push: true` or `push-to`: the {what} is attached to the pushed image"
        );
        rejected(&step().input(name, "true").run(), &error);
    }
}

#[test]
fn what_selects_images_of_a_registry_is_checked_first() {
    let table = [
        (
            "patched-tag",
            "{version}-safe",
            "input `patched-tag`: invalid template `{version}-safe`; the only placeholder is `{tag}`, for the tag of the original",
        ),
        (
            "tags",
            "/(/",
            "input `tags`: invalid regular expression `/(/`: regex parse error:\n    (\n    ^\nerror: unclosed group",
        ),
        (
            "newest-tags",
            "0",
            "input `newest-tags`: invalid number `0`; use 1 or more",
        ),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[test]
fn a_destination_and_its_login_are_checked_first() {
    let table = [
        (
            "push-to",
            "team",
            "input `push-to`: invalid destination `team`; use a registry and a path, such as `ghcr.io/team`",
        ),
        (
            "registries",
            "ghcr.io me",
            "input `registries`: line 1 has no secret for `ghcr.io`; write `ghcr.io USER SECRET` (without them, `token` is used), and check that the secret is set",
        ),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[track_caller]
fn rejected(ran: &Ran, error: &str) {
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (3, "error", ""),
        "{}",
        ran.log
    );
    assert_eq!(ran.error(), format!("copacetic-patch: {error}"));
}

#[test]
fn a_buildkit_is_named_by_its_own_address() {
    let invalid = "use `unix:///path` or `tcp://host:port`";
    let docker = "requires the `docker` command and its settings, which Copa does not get; use BuildKit's own address, `unix:///path` or `tcp://host:port`";
    let table = [
        ("8888", format!("invalid address `8888`; {invalid}")),
        ("unix://", format!("invalid address `unix://`; {invalid}")),
        (
            "docker://",
            format!("invalid address `docker://`; {invalid}"),
        ),
        (
            "docker-container://buildkitd",
            format!("`docker-container://buildkitd` {docker}"),
        ),
        ("buildx://", format!("`buildx://` {docker}")),
    ];
    for (address, problem) in table {
        let error = format!("input `buildkit-address`: {problem}");
        rejected(&step().input("buildkit-address", address).run(), &error);
    }
    // A valid address is accepted: the next failure is the missing Docker.
    for address in ["unix:///run/buildkit/buildkitd.sock", "tcp://127.0.0.1:9"] {
        let step = step().env("DOCKER_HOST", "unix:///nonexistent.sock");
        let ran = step.input("buildkit-address", address).run();
        assert_eq!(ran.code, 2, "{}", ran.log);
    }
}

#[test]
fn the_recipient_of_the_runs_identity_is_checked_first() {
    let id = "22222222-2222-4222-8222-222222222222";
    let table = [
        (
            "client-id",
            "patcher",
            "input `client-id`: invalid ID `patcher`; use a form such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "tenant-id",
            "contoso.com",
            "input `tenant-id`: invalid ID `contoso.com`; use a form such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "authority-host",
            "http://login.example",
            "input `authority-host`: `http://login.example` would send credentials unencrypted; use https",
        ),
        (
            "image",
            "127.0.0.1:5443/app:1",
            "input `image`: `127.0.0.1:5443` is not a registry of Azure (`*.azurecr.io`), so it does not get the token of `client-id`; use a user name and a password there",
        ),
        (
            "registry",
            "azurecr.io.example",
            "input `registry`: `azurecr.io.example` is not a registry of Azure (`*.azurecr.io`), so it does not get the token of `client-id`; use a user name and a password there",
        ),
    ];
    for (name, value, error) in table {
        let step = step().input("client-id", id).input("tenant-id", id);
        let step = step.input("image", "").input("push", "true");
        rejected(&step.input(name, value).run(), error);
    }
}

#[tokio::test]
async fn an_image_that_is_not_in_azure_gets_no_token_when_docker_lacks_it() {
    let host = Recorder::start(|_| Response::default()).await.unwrap();
    let docker = FakeDocker::with("other:1");
    let id = "22222222-2222-4222-8222-222222222222";
    let image = format!("{}/app:1", host.host());
    let step = step()
        .env("DOCKER_HOST", &docker.host())
        .input("client-id", id)
        .input("tenant-id", id)
        .input("image", &image);
    let ran = tokio::task::spawn_blocking(move || step.run()).await;
    let problem = format!(
        "input `image`: `{}` is not a registry of Azure (`*.azurecr.io`), so it does not get the token of `client-id`; use a user name and a password there",
        host.host()
    );
    let ran = ran.unwrap();
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert!(ran.error().ends_with(&problem), "{}", ran.log);
    assert_eq!(host.seen(), []);
}

#[tokio::test]
async fn the_password_of_a_registry_on_this_machine_does_not_pass_a_proxy() {
    let challenge = |_: &Seen| {
        let builder = Response::builder().status(401);
        let builder = builder.header("www-authenticate", "Basic realm=\"r\"");
        builder.body(Body::empty()).unwrap()
    };
    let host = Recorder::start(challenge).await.unwrap();
    let proxy = Recorder::start(challenge).await.unwrap();
    let docker = FakeDocker::with("other:1");
    let step = step()
        .env("DOCKER_HOST", &docker.host())
        .env("HTTP_PROXY", &format!("http://{}", proxy.host()))
        .input("registry-username", "me")
        .input("registry-password", "password")
        .input("image", &format!("{}/app:1", host.host()));
    let ran = tokio::task::spawn_blocking(move || step.run()).await;
    assert_eq!(ran.unwrap().code, 2);
    assert_eq!(proxy.seen(), []);
    assert_eq!(host.authorizations(), ["", "Basic bWU6cGFzc3dvcmQ="]);
}

#[test]
fn an_argument_that_is_not_text_is_rejected() {
    let path = OsStr::from_bytes(b"--image=app:\xff");
    rejected(
        &step().arg(path).run(),
        "argument `--image=app:\u{fffd}` is not UTF-8",
    );
}

#[test]
fn without_docker_the_error_says_so() {
    let ran = step().env("DOCKER_HOST", "unix:///nonexistent.sock").run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}
