//! What `ci` replaces for the build.

use crate::mapping::{Mapping, Peer, keep, lost, same, together, unneeded};

const BUILDKIT: &str = "the build runs in Docker's own BuildKit, or in one that the step starts where its inputs need it";
const EMULATORS: &str =
    "the step stays: `ci` runs other platforms by the emulators that it registers";

const fn setting(old: &'static str) -> Mapping {
    lost(old, "a build runs with Docker's defaults")
}

pub(crate) const BUILD_PUSH: Peer = Peer {
    name: "docker/build-push-action",
    version: "7.3.0",
    action: "ci",
    inputs: &[
        setting("add-hosts"),
        lost("allow", "no step of a build gets additional rights"),
        same("annotations").note("`key=value`, of the index with `index:` before it"),
        lost("attests", "attest the pushed image with actions/attest"),
        same("build-args"),
        same("build-contexts"),
        unneeded("builder", BUILDKIT),
        together(
            "cache-from",
            &["cache-from"],
            "an image, `type=registry`, `type=gha` or `type=local`; other types have no counterpart",
        ),
        together(
            "cache-to",
            &["cache-to"],
            "`type=inline`, `type=registry`, `type=gha` or `type=local`; other types have no counterpart",
        ),
        lost("call", "build checks become annotations").unless(&["build"]),
        setting("cgroup-parent"),
        together(
            "context",
            &["context"],
            "a directory; the step needs a checkout",
        ),
        together("file", &["dockerfile"], "relative to `context`"),
        same("labels"),
        unneeded("load", "the image is always loaded into Docker"),
        lost("network", "a build has Docker's default network").unless(&["default"]),
        same("no-cache"),
        lost("no-cache-filters", "`no-cache` is for every stage"),
        together(
            "outputs",
            &["outputs"],
            "`type=oci`, `type=local` and `type=tar`; the image is loaded into Docker, and pushed with `push`",
        ),
        same("platforms")
            .note("each is tested; keep docker/setup-qemu-action for those of other machines"),
        same("provenance").unless(&["false"]),
        unneeded("pull", "the base images are resolved by each build"),
        same("push").note("only what has passed every check"),
        same("sbom").unless(&["false"]),
        keep("secrets", "build-secrets"),
        together("secret-envs", &["build-secrets"], "`id=${{ env.NAME }}`"),
        same("secret-files"),
        setting("shm-size"),
        same("ssh").note("sockets of agents; a file with a key is not read"),
        together(
            "tags",
            &["image", "tags"],
            "the first name is `image`; with docker/metadata-action its output is a valid value of `tags`",
        ),
        same("target"),
        setting("ulimit"),
        keep("github-token", "token"),
    ],
    outputs: &[
        keep("imageid", "image-id"),
        same("digest"),
        lost(
            "metadata",
            "`digest`, `image-id`, `tags` and `size` have the values",
        ),
    ],
    environment: &[],
};

pub(crate) const METADATA: Peer = Peer {
    name: "docker/metadata-action",
    version: "6.2.0",
    action: "ci",
    inputs: &[
        lost("context", "the context of the run is used").unless(&["workflow"]),
        together(
            "images",
            &["image", "tags"],
            "the name without a tag; further ones are whole names in `tags`",
        ),
        together(
            "tags",
            &["tags"],
            "`type=ref,event=branch` is `{branch}`, `type=ref,event=pr` is `pr-{pr}`, `type=semver,pattern={{version}}` is `{version}`, `{{major}}.{{minor}}` is `{major}.{minor}`, `type=sha` is `sha-{short-sha}`, `type=raw` is its value",
        ),
        lost("flavor", "write each tag as it is"),
        same("labels"),
        lost("annotations", "write those of `ci` as they are"),
        unneeded("sep-tags", "tags are one per line"),
        unneeded("sep-labels", "labels are one per line"),
        unneeded("sep-annotations", "there are no annotations"),
        unneeded("bake-target", "there are no files for bake"),
        unneeded("github-token", "nothing is requested from GitHub"),
    ],
    outputs: &[
        lost("version", "`tags` has the names, one per line"),
        same("tags"),
        lost("tag-names", "`tags` has the names, one per line"),
        lost("labels", "revision and source are always set"),
        lost("annotations", "there are no annotations"),
        lost("json", "`tags` has the names, one per line"),
        lost("bake-file-tags", "there are no files for bake"),
        lost("bake-file-labels", "there are no files for bake"),
        lost("bake-file-annotations", "there are no files for bake"),
        lost("bake-file", "there are no files for bake"),
    ],
    environment: &[],
};

pub(crate) const LOGIN: Peer = Peer {
    name: "docker/login-action",
    version: "4.1.0",
    action: "ci",
    inputs: &[
        together("registry", &["registries"], "the first word of a line; `docker.io` by default"),
        together("username", &["registries"], "the second word of a line; `ghcr.io` alone uses `token`"),
        together("password", &["registries"], "the third word of a line"),
        lost("ecr", "write the user `AWS` and the password of `aws ecr get-login-password` as a line of `registries`").unless(&["auto", "false"]),
        lost("scope", "each registry has one login").unless(&["@push"]),
        unneeded("logout", "no login outlives the step"),
        together("registry-auth", &["registries"], "a line for each"),
    ],
    outputs: &[],
    environment: &[],
};

pub(crate) const BUILDX: Peer = Peer {
    name: "docker/setup-buildx-action",
    version: "4.3.0",
    action: "ci",
    inputs: &[
        unneeded("version", BUILDKIT),
        unneeded("driver", BUILDKIT),
        lost("driver-opts", BUILDKIT),
        lost("buildkitd-flags", BUILDKIT),
        lost("buildkitd-config", BUILDKIT),
        lost("buildkitd-config-inline", BUILDKIT),
        unneeded("use", BUILDKIT),
        unneeded("name", BUILDKIT),
        lost("endpoint", BUILDKIT),
        unneeded("platforms", BUILDKIT),
        lost("append", BUILDKIT),
        unneeded("keep-state", BUILDKIT),
        unneeded("cache-binary", BUILDKIT),
        unneeded("cleanup", BUILDKIT),
        unneeded("install", BUILDKIT),
    ],
    outputs: &[
        lost("name", BUILDKIT),
        lost("driver", BUILDKIT),
        lost("platforms", BUILDKIT),
        lost("nodes", BUILDKIT),
        lost("endpoint", BUILDKIT),
        lost("status", BUILDKIT),
        lost("flags", BUILDKIT),
    ],
    environment: &[],
};

pub(crate) const QEMU: Peer = Peer {
    name: "docker/setup-qemu-action",
    version: "4.2.0",
    action: "ci",
    inputs: &[
        unneeded("image", EMULATORS),
        unneeded("platforms", EMULATORS),
        unneeded("reset", EMULATORS),
        unneeded("cache-image", EMULATORS),
    ],
    outputs: &[lost("platforms", EMULATORS)],
    environment: &[],
};
