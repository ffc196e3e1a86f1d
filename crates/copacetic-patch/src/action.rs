//! The declaration.

use actions_toolkit::{Action, Input, Output};

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "copacetic-patch",
    about: "Patch an image with the distribution's security updates, and prove by a second scan what that mended.",
    inputs: &[
        Input::new(
            "image",
            "The image to patch, in the engine: `repository:tag`.",
        )
        .required(),
        Input::new(
            "report",
            "Trivy's JSON report of the image, from an earlier step; without it, the image is scanned.",
        ),
        Input::new(
            "patched-tag",
            "The tag of the patched image; without it, the image's tag with `-patched`.",
        ),
        Input::new(
            "buildkit-address",
            "A BuildKit to use (`unix:///path` or `tcp://…`), on the network of this step; without it, the step starts one of its own and removes it.",
        ),
        Input::new("buildkit-image", "The image of the step's own BuildKit.")
            .default("moby/buildkit:v0.34.2"),
        Input::new(
            "tooling-image",
            "An image, in the engine or in a registry, to take instead of those that Copa pulls for its tools: for networks without a public registry.",
        ),
        Input::new("timeout", "The limit of one run of Copa.").default("10m"),
        Input::new(
            "db-repositories",
            "OCI repositories of the vulnerability database, one per line; without it, the public mirrors.",
        ),
        Input::new("cache-directory", "Trivy's cache folder."),
        Input::new(
            "offline",
            "Whether the vulnerability database in the cache is taken as it is.",
        )
        .default("false"),
        Input::new(
            "vex-file",
            "Where the OpenVEX document is written, in the workspace.",
        )
        .default("patch.openvex.json"),
        Input::new(
            "report-file",
            "Where the report of the patched image is written, in the workspace.",
        )
        .default("trivy-report-patched.json"),
    ],
    outputs: &[
        Output::new(
            "result",
            "`patched`, `partial` (some updates could not be had), `up-to-date` (nothing to mend), `failed` or `error`.",
        ),
        Output::new(
            "image",
            "The image to go on with: the patched one, or the given one where there was nothing to mend.",
        ),
        Output::new("digest", "The id of that image in the engine."),
        Output::new(
            "patched-tag",
            "The tag of the patched image; empty where there is none.",
        ),
        Output::new("fixed-count", "How many findings the patch mended."),
        Output::new("remaining-count", "How many findings remain."),
        Output::new(
            "vex-file",
            "The OpenVEX document, relative to the workspace; empty where nothing was patched.",
        ),
        Output::new(
            "report-file",
            "The report of the image to go on with, relative to the workspace.",
        ),
    ],
};
