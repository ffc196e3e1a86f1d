//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use actions_toolkit::fuzz::value;
use kube::config::Kubeconfig;

use crate::manifests::{Variables, parse};
use crate::request::{
    DeployedImage, HealthPath, HealthUrl, PreviewInput, Repository, TaggedImage, kustomize,
};

/// Kubernetes manifests.
pub fn manifests(text: &str) {
    let _ = parse(text);
}

/// A kustomization.
pub fn kustomization(text: &str) {
    kustomize::check_text(text);
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
}
