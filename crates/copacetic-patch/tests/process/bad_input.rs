//! What is refused before anything is started.

use crate::step;

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required and was empty or absent; or name a `registry` to patch images of",
        ),
        (
            "image",
            "app",
            "input `image`: `app` needs a tag, or `patched-tag`: the patched image is named after it",
        ),
        (
            "image",
            "app:a+b",
            "input `image`: `app:a+b`: `a+b` is no tag: up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "patched-tag",
            "1",
            "input `patched-tag`: is the image's own tag: the unpatched image would be lost",
        ),
        (
            "patched-tag",
            "\"; id",
            "input `patched-tag`: `\"; id` is no tag: up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
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
            "buildkit-address",
            "8888",
            "input `buildkit-address`: `8888` is neither `unix:///path` nor `tcp://host:port`",
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
            "input `offline`: `1` is neither `true` nor `false`",
        ),
        ("tag", "x", "input `tag` is unknown; did you mean `tags`?"),
    ];
    for (name, value, error) in table {
        let ran = step().input(name, value).run();
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("image")),
            (3, "error", ""),
            "{}",
            ran.log
        );
        assert_eq!(ran.error(), format!("copacetic-patch: {error}"));
    }
}

#[test]
fn without_an_engine_it_says_so() {
    let ran = step().env("DOCKER_HOST", "unix:///nonexistent.sock").run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}
