//! What `copacetic-patch` replaces.

use crate::mapping::{Peer, keep, lost, same, together, unneeded};

pub(crate) const COPA: Peer = Peer {
    name: "project-copacetic/copa-action",
    version: "1.2.1",
    action: "copacetic-patch",
    inputs: &[
        same("image"),
        keep("image-report", "report").note("optional: without it, the image is scanned"),
        together(
            "patched-tag",
            &["patched-tag"],
            "optional; the tag of the image itself requires `push-to` or `replace-tags: true`",
        ),
        same("timeout"),
        keep("output", "vex-file"),
        lost("format", "the document is OpenVEX").unless(&["openvex"]),
        together(
            "buildkit-version",
            &["buildkit-image"],
            "the whole name of the image, `moby/buildkit:v0.34.2`",
        ),
        lost(
            "custom-socket",
            "`buildkit-address` is the address of a BuildKit, not of a Docker daemon",
        ),
        unneeded("copa-version", "Copa is in the image of the action"),
    ],
    outputs: &[keep("patched-image", "image").note("the input image if nothing was fixable")],
    environment: &[],
};
