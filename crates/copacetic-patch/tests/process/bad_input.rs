//! What is refused before anything is started.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use testkit::Ran;

use crate::step;

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required; or name a `registry` to patch images of",
        ),
        (
            "image",
            "app",
            "input `image`: `app` needs a tag, or `patched-tag`: the patched image is named after it",
        ),
        (
            "image",
            "app:a+b",
            "input `image`: `app:a+b`: invalid tag `a+b`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "patched-tag",
            "1",
            "input `patched-tag`: is the image's own tag: the unpatched image would be lost",
        ),
        (
            "patched-tag",
            "\"; id",
            "input `patched-tag`: invalid tag `\"; id`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "report",
            "gone.json",
            "input `report`: there is no file `gone.json` in the workspace",
        ),
        (
            "package-types",
            "library",
            "input `package-types`: `library` is neither `os` nor `os,library`",
        ),
        (
            "timeout",
            "1000000000h",
            "input `timeout`: `1000000000h` is longer than any job lasts; give 120h at most",
        ),
        (
            "push",
            "true",
            "input `image`: `app:1` names no registry to push to; write `host/app:1`",
        ),
        (
            "image",
            "app:1\napp:1",
            "input `image`: two images would become `app:1-patched`",
        ),
        (
            "registry",
            "ghcr.io",
            "input `registry`: the images of a registry are patched where they are: it needs `push: true`",
        ),
        (
            "registry-username",
            "me",
            "input `registry-password`: is required where there is a `registry-username`",
        ),
        (
            "client-id",
            "x",
            "input `tenant-id`: is required where there is a `client-id`",
        ),
        (
            "smoke-command",
            "[1]",
            "input `smoke-command`: `[1]` is no JSON list of words: invalid type: integer `1`, expected a string at line 1 column 2",
        ),
        (
            "vex-attach",
            "true",
            "input `vex-attach`: there is nothing in a registry to attach it to: it needs `push: true`",
        ),
        (
            "issue",
            "true",
            "input `token`: is required for the issue; give the job `permissions: issues: write`",
        ),
        (
            "offline",
            "1",
            "input `offline`: invalid value `1`; expected one of `true`, `false`",
        ),
        ("tag", "x", "input `tag` is unknown; did you mean `tags`?"),
    ];
    for (name, value, error) in table {
        refused(&step().input(name, value).run(), error);
    }
}

#[track_caller]
fn refused(ran: &Ran, error: &str) {
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (3, "error", ""),
        "{}",
        ran.log
    );
    assert_eq!(ran.error(), format!("copacetic-patch: {error}"));
}

#[test]
fn a_buildkit_is_named_by_an_address_of_its_own() {
    let form = "is neither `unix:///path` nor `tcp://host:port`";
    let docker = "needs the `docker` command and its settings, which Copa is not given; give the BuildKit's own address, `unix:///path` or `tcp://host:port`";
    let table = [
        ("8888", form),
        ("unix://", form),
        ("docker://", form),
        ("docker-container://buildkitd", docker),
        ("buildx://", docker),
    ];
    for (address, problem) in table {
        let error = format!("input `buildkit-address`: `{address}` {problem}");
        refused(&step().input("buildkit-address", address).run(), &error);
    }
    // What Copa reaches is taken: the next thing that is missing is Docker.
    for address in ["unix:///run/buildkit/buildkitd.sock", "tcp://127.0.0.1:9"] {
        let step = step().env("DOCKER_HOST", "unix:///nonexistent.sock");
        let ran = step.input("buildkit-address", address).run();
        assert_eq!(ran.code, 2, "{}", ran.log);
    }
}

#[test]
fn whoever_is_to_get_the_runs_identity_is_looked_at_first() {
    let id = "22222222-2222-4222-8222-222222222222";
    let table = [
        (
            "client-id",
            "patcher",
            "input `client-id`: `patcher` is no id such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "tenant-id",
            "contoso.com",
            "input `tenant-id`: `contoso.com` is no id such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "authority-host",
            "http://login.example",
            "input `authority-host`: `http://login.example` would send credentials in the clear; use https",
        ),
    ];
    for (name, value, error) in table {
        let step = step().input("client-id", id).input("tenant-id", id);
        refused(&step.input(name, value).run(), error);
    }
}

#[test]
fn an_argument_that_is_no_text_is_refused() {
    let path = OsStr::from_bytes(b"--image=app:\xff");
    refused(
        &step().arg(path).run(),
        "argument `--image=app:\u{fffd}` is not in UTF-8; write it in UTF-8",
    );
}

#[test]
fn without_an_engine_it_says_so() {
    let ran = step().env("DOCKER_HOST", "unix:///nonexistent.sock").run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}
