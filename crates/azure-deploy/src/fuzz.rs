//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::path::Path;

use actions_toolkit::fuzz::value;
use kube::config::Kubeconfig;

use crate::manifests::{Variables, parse};
use crate::request::{
    DeployedImage, HealthPath, HealthUrl, PreviewInput, Repository, Share, TaggedImage, helm,
    kustomize,
};

/// What the renderer of Helm charts writes.
pub fn rendered(text: &[u8]) {
    helm::fuzz::response(text);
}

/// The log of a command in a private cluster, with responses of its API server.
pub fn run_command(text: &str) {
    crate::kubernetes::fuzz_run_command(text);
}

/// Kubernetes manifests.
pub fn manifests(text: &str) {
    let _ = parse(text);
}

/// A kustomization.
pub fn kustomization(text: &str) {
    kustomize::check_text(text);
}

/// The archive of a repository with a base, unpacked into the directory `into`.
pub fn repository(archive: &Path, into: &Path) {
    kustomize::fuzz_archive(archive, into);
}

/// The input `environment-variables`.
pub fn variables(text: &str) {
    let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    let _ = Variables::parse(&lines);
}

/// The input `kubeconfig`.
pub fn kubeconfig(text: &str) {
    let _ = Kubeconfig::from_yaml(text);
}

/// The inputs that have their own form.
pub fn inputs(text: &str) {
    value::<TaggedImage>(text);
    value::<DeployedImage>(text);
    value::<Repository>(text);
    value::<HealthPath>(text);
    value::<HealthUrl>(text);
    value::<PreviewInput>(text);
    value::<Share>(text);
}
