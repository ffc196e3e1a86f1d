//! The inputs and outputs of the action.

use actions_toolkit::{Action, Example, InputSet as _, Output};

use crate::request::Inputs;

/// The declaration from which `action.yml`, `--help` and the README's tables are generated.
pub const ACTION: Action = Action {
    name: "copacetic-patch",
    about: "Patch the packages of an image that have an update, and verify the result by a second scan before it is tagged.",
    inputs: Inputs::declared,
    replaced: |input| peers::hint("copacetic-patch", input),
    outputs: &[
        Output::new(
            "result",
            "`patched`, `partial` (some updates are unavailable), `up-to-date` (nothing to fix), `failed` or `error`; `planned` for a plan or a dry run.",
        ),
        Output::new(
            "image",
            "Images for the next steps, one per line: the patched image, or the original if there is nothing to fix; in `push-to`, if that is set.",
        ),
        Output::new(
            "digest",
            "Digests of these images in the registry, or their IDs in Docker, one per line.",
        ),
        Output::new(
            "patched-tag",
            "Tags of the patched images, one per line; an empty line for an image with nothing to fix.",
        ),
        Output::new(
            "incremental-tag",
            "Tags that only this run pushed, and that never move, one per line; an empty line for an image that it did not push.",
        ),
        Output::new("fixed-count", "Number of findings that the patch fixed."),
        Output::new("remaining-count", "Number of findings that remain."),
        Output::new(
            "before",
            "Number of findings of the original by severity, `critical=1,high=31,medium=40,low=12,unknown=0`; empty without a report.",
        ),
        Output::new(
            "after",
            "Number of findings of `image` by severity, in the same form.",
        ),
        Output::new(
            "vex-file",
            "Paths of the OpenVEX documents, relative to the workspace, one per line; an empty line for an image that is not patched.",
        ),
        Output::new(
            "report-file",
            "Paths of the reports of `image`, relative to the workspace, one per line.",
        ),
        fleet::MATRIX_OUTPUT,
        fleet::COUNT_OUTPUT,
    ],
    examples: &[
        Example::new("Patch an image that Docker has", "--image app:dev"),
        Example::new("Show what that would patch", "--image app:dev --dry-run"),
        Example::new(
            "Patch the tags of a registry's repository, and push",
            "--registry ghcr.io --repositories octo-org/app --tags 'v*' --push",
        ),
    ],
};
