//! The built binary in the environment of a step.

use std::path::Path;

use testkit::FakeRunner;

fn step() -> FakeRunner {
    FakeRunner::new(env!("CARGO_BIN_EXE_copacetic-patch")).input("image", "app:1")
}

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

#[test]
fn the_declaration_is_what_authors_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(
        testkit::contract::differences(&copacetic_patch::ACTION, &root),
        Vec::<String>::new()
    );
}

/// With an engine that has the base image.
mod real {
    use super::*;

    #[test]
    #[ignore = "real: needs a container engine"]
    fn an_image_that_is_not_there_is_bad_input() {
        let ran = step().input("image", "no-such-image:1").run();
        assert_eq!(ran.code, 3);
        assert_eq!(
            ran.error(),
            "copacetic-patch: input `image`: the engine has no image `no-such-image:1`; build or pull it in an earlier step"
        );
    }

    #[test]
    #[ignore = "real: needs a container engine"]
    fn what_is_no_report_of_this_image_is_refused_before_buildkit_is_touched() {
        let foreign = r#"{"SchemaVersion": 2, "ArtifactName": "other:1", "ArtifactType": "container_image", "Metadata": {"DiffIDs": ["sha256:0"]}}"#;
        let table = [
            ("{}", "is not the JSON that was expected"),
            ("[]", "is not the JSON that was expected"),
            (
                "{\"SchemaVersion\": 2, \"Res",
                "is not the JSON that was expected",
            ),
            (
                foreign,
                "it is the report of `other:1` with other layers than the image has",
            ),
        ];
        for (report, message) in table {
            let ran = step()
                .input("image", "debian:trixie-slim")
                .file("r.json", report)
                .input("report", "r.json")
                .run();
            assert_eq!(ran.code, 3, "{}", ran.log);
            assert!(ran.error().contains(message), "{}", ran.error());
            assert!(!ran.log.contains("Copa"), "{}", ran.log);
        }
    }
}
