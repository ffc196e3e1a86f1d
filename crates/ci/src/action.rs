//! What the action declares of itself.

use actions_toolkit::{Action, Input, Output};

/// The inputs and outputs of `ci`; `action.yml` and the README's tables say the same.
pub const ACTION: Action = Action {
    name: "ci",
    about: "Build an image, test it, read its code, and prove that it serves.",
    inputs: || {
        vec![
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
            "coverage-path",
            "Absolute path in the test container of the coverage report (Cobertura XML, or coverage.py's JSON), if there is one.",
        )
        .default("/results/coverage.xml"),
        Input::new(
            "min-coverage",
            "Share of the code in percent that the tests have to run; a missing report fails then.",
        ),
        Input::new(
            "baseline-junit",
            "JUnit report of the base branch, a path in the workspace: failures that it does not have are marked as new.",
        ),
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
            "build-secrets",
            "Secrets of the build, one `id=value` per line, for `RUN --mount=type=secret,id=…`; a value of several lines stands in double quotes. They are in no layer and no log.",
        )
        .secret(),
        Input::new("labels", "Labels of the image, one `key=value` per line."),
        Input::new(
            "cache-from",
            "Images of a registry whose inline cache the build may use, one per line; one that is not there is passed over.",
        ),
        Input::new(
            "cache-inline",
            "Whether the image carries an inline cache, so that it can be used by `cache-from` once it is pushed.",
        )
        .default("false"),
        Input::new("no-cache", "Whether every step is built anew.").default("false"),
        Input::new("context-limit", "Largest build context in megabytes.").default("2000"),
        Input::new(
            "static-analysis",
            "Linters to run, between commas: `ruff`, `ruff-format`, `mypy`, `bandit`, `hadolint`, `pip check`; `auto` takes those that the test stage or the runner has, `none` none.",
        )
        .default("auto"),
        Input::new(
            "fail-on-analysis",
            "The lowest level of a linter's finding that fails the step: `error`, `warning`, `note` or `none`.",
        )
        .default("warning"),
        Input::new(
            "lock-file",
            "Lock file, a path in the workspace, whose packages are scanned for vulnerabilities with Trivy; without it, none are.",
        ),
        Input::new(
            "fail-on",
            "The lowest severity of a package's vulnerability that fails the step: `critical`, `high`, `medium`, `low` or `none`.",
        )
        .default("none"),
        Input::new(
            "trivy-image",
            "Image that has Trivy at `/usr/local/bin/trivy`, by its digest, for `lock-file`; by default the one of the same release.",
        ),
        Input::new(
            "db-repositories",
            "Mirrors of Trivy's vulnerability database, one per line; the public ones by default.",
        ),
        Input::new(
            "cache-directory",
            "Folder of the vulnerability database, relative to the workspace; by default Trivy's own.",
        ),
        Input::new(
            "offline",
            "Whether the vulnerability database in `cache-directory` is taken, and nobody is asked.",
        )
        .default("false"),
        Input::new(
            "max-database-age",
            "Age of the vulnerability database from which it is too old for a verdict.",
        )
        .default("48h"),
        Input::new(
            "sarif-file",
            "Path in the workspace where the findings of linters and packages are put.",
        )
        .default("ci.sarif"),
        Input::new("upload", "Whether the findings go to the Security tab.").default("true"),
        Input::new(
            "comment",
            "Whether a pull request gets a comment, which later runs keep up to date.",
        )
        .default("true"),
        Input::new(
            "token",
            "The token for GitHub: `security-events: write` for the Security tab, `pull-requests: write` for the comment.",
        )
        .secret(),
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
        Input::new(
            "stop-timeout",
            "Time that the application has to end after SIGTERM.",
        )
        .default("10s"),
        Input::new(
            "test-timeout",
            "Limit of the test run, and of the static analysis beside it.",
        )
        .default("10m"),
        Input::new("build-timeout", "Limit of each build.").default("20m"),
    ]
    },
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (a check said no) or `error` (no verdict).",
        ),
        Output::new(
            "image",
            "Name of the image; it gets it when every check passed.",
        ),
        Output::new("image-id", "Id of the image, `sha256:` and 64 hex digits."),
        Output::new(
            "created",
            "When the image was built, as RFC 3339; what came from the cache whole has the time of the first build.",
        ),
        Output::new("size", "Size of the image in bytes, all layers."),
        Output::new("tests", "Number of tests that were reported."),
        Output::new(
            "failures",
            "Number of tests that failed or ended in an error.",
        ),
        Output::new(
            "new-failures",
            "Number of failed tests that did not fail in `baseline-junit`; empty without one.",
        ),
        Output::new("skipped", "Number of tests that were skipped."),
        Output::new("flaky", "Number of tests that passed only after a rerun."),
        Output::new(
            "coverage",
            "Share of lines and branches that the tests ran, in percent, such as `97.31`.",
        ),
        Output::new("findings", "Number of the linters' findings."),
        Output::new(
            "vulnerabilities",
            "Number of vulnerabilities in the lock file's packages.",
        ),
        Output::new(
            "sarif-file",
            "Path of the SARIF file, relative to the workspace.",
        ),
        Output::new("sarif-id", "Id of the upload; empty if there was none."),
        Output::new(
            "junit-file",
            "Path of the JUnit report, relative to the workspace.",
        ),
        Output::new("health-status", "`healthy`, `unhealthy` or `skipped`."),
    ],
};
