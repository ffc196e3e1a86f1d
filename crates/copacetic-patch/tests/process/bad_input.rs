//! What is refused before anything is started.

use crate::step;

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required and was empty or absent (The image to patch, in the engine: `repository:tag`.)",
        ),
        (
            "image",
            "app",
            "input `image`: `app` needs a tag and no digest: the patched image is named after it",
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
            "buildkit-address",
            "8888",
            "input `buildkit-address`: `8888` is neither `unix:///path` nor `tcp://host:port`",
        ),
        (
            "offline",
            "1",
            "input `offline`: `1` is neither `true` nor `false`",
        ),
        (
            "tag",
            "x",
            "input `tag` is unknown; the inputs of `copacetic-patch` are: image, report, patched-tag, buildkit-address, buildkit-image, tooling-image, timeout, db-repositories, cache-directory, offline, vex-file, report-file",
        ),
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
