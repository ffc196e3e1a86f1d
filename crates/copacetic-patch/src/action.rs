//! The declaration.

use actions_toolkit::{Action, Input, Output};

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "copacetic-patch",
    about: "Patch an image with the distribution's security updates, and prove by a second scan what that mended.",
    inputs: || {
        vec![
        Input::new(
            "image",
            "The images to patch, one per line, in Docker or in a registry: `repository:tag`, `host:port/repository:tag`, also with a digest.",
        ),
        Input::new(
            "push",
            "Whether the images are taken from their registry, and what was patched and proven is pushed there.",
        )
        .default("false"),
        Input::new(
            "registry",
            "The host of a registry whose images are patched as far as `repositories` and `tags` name them; it needs `push`.",
        ),
        Input::new(
            "repositories",
            "Which repositories of `registry`, one per line, with `*` for any characters.",
        )
        .default("*"),
        Input::new(
            "tags",
            "Which tags of these repositories, one per line, with `*` for any characters; what this action pushed is never among them.",
        )
        .default("latest"),
        Input::new("registry-username", "The user name for the registries."),
        Input::new(
            "registry-password",
            "The password or token for the registries.",
        )
        .secret(),
        Input::new(
            "client-id",
            "The id of an application in Entra that the run signs in as by OIDC, for Azure Container Registry: nothing is stored then.",
        ),
        Input::new("tenant-id", "The id of the application's directory."),
        Input::new(
            "authority-host",
            "Where Entra signs in: another one for a sovereign cloud.",
        )
        .default(azure::AUTHORITY),
        Input::new(
            "token-audience",
            "The audience of the run's OIDC token: another one for a sovereign cloud.",
        )
        .default(azure::AUDIENCE),
        Input::new(
            "report",
            "Trivy's JSON report of the image, from an earlier step; without it, the image is scanned.",
        ),
        Input::new(
            "package-types",
            "Which packages are patched: `os`, or `os,library` for those of Python as well, where their environment has `pip`: within the major version, and only if `pip check` and the second scan agree.",
        )
        .default("os"),
        Input::new(
            "patched-tag",
            "The tag of the patched image; without it, the image's tag with `-patched`.",
        ),
        Input::new(
            "smoke-command",
            "A command that must end well in a container of the patched image, as `CMD` in a Dockerfile: words for `/bin/sh -c`, or a JSON list; without it, the image's health check is asked, if it has one.",
        ),
        Input::new("smoke-timeout", "The limit of that.").default("60s"),
        Input::new(
            "buildkit-address",
            "A BuildKit to use, at an address of its own, `unix:///path` or `tcp://host:port`, on the network of this step (`docker-container://` and `buildx://` are refused: they need a `docker` command and its settings); without it, the step starts one of its own and removes it.",
        ),
        Input::new("buildkit-image", "The image of the step's own BuildKit.")
            .default("moby/buildkit:v0.34.2"),
        Input::new(
            "tooling-image",
            "An image, in Docker or in a registry, to take instead of those that Copa pulls for its tools: for networks without a public registry.",
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
        Input::new(
            "vex-attach",
            "Whether the OpenVEX document is attached to the pushed image, as a referrer.",
        )
        .default("false"),
        Input::new(
            "issue",
            "Whether an issue lists what could not be mended; it is closed when there was a verdict on every image and nothing remains.",
        )
        .default("false"),
        Input::new(
            "upload",
            "Whether the Security tab is told what remains, in the category of the scan, so that what was mended is closed there; it needs `report`, which says what else is still there.",
        )
        .default("true"),
        Input::new(
            "category",
            "The category of the scan; without it, the one that `trivy-scan` takes for this image in the same job.",
        ),
        Input::new(
            "dockerfile",
            "The Dockerfile of the image, as `trivy-scan` was given it: what remains is shown there.",
        ),
        Input::new(
            "token",
            "The token for GitHub: `security-events: write` for the Security tab, `issues: write` for the issue.",
        )
        .secret(),
    ]
    },
    outputs: &[
        Output::new(
            "result",
            "`patched`, `partial` (some updates could not be had), `up-to-date` (nothing to mend), `failed` or `error`.",
        ),
        Output::new(
            "image",
            "The image to go on with, one line each: the patched one, or the given one where there was nothing to mend.",
        ),
        Output::new(
            "digest",
            "The digest of that image's manifest in the registry, or its id in Docker, one line each.",
        ),
        Output::new(
            "patched-tag",
            "The tag of the patched image, one line each; empty where there is none.",
        ),
        Output::new(
            "incremental-tag",
            "The tag that this run alone pushed, and that never moves, one line each.",
        ),
        Output::new("fixed-count", "How many findings the patch mended."),
        Output::new("remaining-count", "How many findings remain."),
        Output::new(
            "before",
            "How many findings of each severity the image had: `critical=1,high=31,medium=40,low=12,unknown=0`; empty where no report of it was at hand.",
        ),
        Output::new(
            "after",
            "How many findings of each severity the image to go on with has, in the same form.",
        ),
        Output::new(
            "vex-file",
            "The OpenVEX document, relative to the workspace, one line each; empty where nothing was patched.",
        ),
        Output::new(
            "report-file",
            "The report of the image to go on with, relative to the workspace, one line each.",
        ),
    ],
};
