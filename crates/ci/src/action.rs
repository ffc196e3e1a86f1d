//! What the action declares of itself.

use actions_toolkit::{Action, Input, Output};

/// The inputs and outputs of `ci`; `action.yml` and the README's tables say the same.
pub const ACTION: Action = Action {
    name: "ci",
    about: "Build an image, run its tests, and prove that it serves.",
    inputs: &[
        Input::new(
            "context",
            "Folder of the build context, relative to the workspace.",
        )
        .default("."),
        Input::new(
            "dockerfile",
            "Path of the Dockerfile, relative to `context`.",
        )
        .default("Dockerfile"),
        Input::new("image", "Name of the image to build, as `name:tag`.").required(),
        Input::new("target", "Stage to build; the last one by default."),
        Input::new(
            "test-target",
            "Stage whose command runs the tests; `none` builds without tests.",
        )
        .default("test"),
        Input::new(
            "junit-path",
            "Absolute path in the test container where the tests leave their JUnit report.",
        )
        .default("/results/junit.xml"),
        Input::new(
            "junit-file",
            "Path in the workspace where the JUnit report is put.",
        )
        .default("junit.xml"),
        Input::new(
            "build-args",
            "Build arguments, one `NAME=value` per line; they are no place for secrets.",
        ),
        Input::new(
            "health-path",
            "Path that answers 2xx when the application serves; `none` skips the smoke test.",
        )
        .default("/health"),
        Input::new(
            "port",
            "Port of the application; the only port that the image exposes by default.",
        ),
        Input::new("smoke-timeout", "Limit until the application is healthy.").default("60s"),
        Input::new("test-timeout", "Limit of the test run.").default("10m"),
        Input::new("build-timeout", "Limit of each build.").default("20m"),
    ],
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (build, tests or smoke test) or `error` (no verdict).",
        ),
        Output::new("image", "Name of the image that was built."),
        Output::new("image-id", "Id of the image, `sha256:` and 64 hex digits."),
        Output::new("size", "Size of the image in bytes, all layers."),
        Output::new("tests", "Number of tests that were reported."),
        Output::new(
            "tests-failed",
            "Number of tests that failed or ended in an error.",
        ),
        Output::new("tests-skipped", "Number of tests that were skipped."),
        Output::new(
            "junit-file",
            "Path of the JUnit report, relative to the workspace.",
        ),
        Output::new("health-status", "`healthy`, `unhealthy` or `skipped`."),
    ],
};
