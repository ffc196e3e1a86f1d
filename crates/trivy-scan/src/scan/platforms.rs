//! Images for several platforms: each platform is a target.

use std::sync::Arc;

use actions_toolkit::Context;
use anyhow::{Context as _, anyhow, ensure};
use oci::{ImageRef, Platform, Registry};
use registries::Login;
use trivy::{Report, Target};

use super::Failure;
use crate::request::{Platforms, Request, ScanType, TargetRequest};

/// Replace each image in the targets of `request` by the images for the platforms that it requests. A platform that an image
/// does not have fails alone.
///
/// # Errors
/// When nothing is left to scan.
pub(crate) async fn expand(ctx: &Context, request: &mut Request) -> anyhow::Result<Vec<Failure>> {
    let mut failures = Vec::new();
    let Some(platforms) = request.platforms.clone() else {
        return Ok(failures);
    };
    let mut expanded = Vec::new();
    for target in std::mem::take(&mut request.targets) {
        if target.scan_type != ScanType::Image {
            expanded.push(target);
            continue;
        }
        let found = images(ctx, request, &target).await;
        let what = || format!("failed to scan image `{}`", target.input);
        match found {
            Ok(found) => {
                let (images, missing) = select(&platforms, &found);
                failures.extend(missing.into_iter().map(|problem| Failure {
                    target: target.input.clone(),
                    error: anyhow!(problem).context(what()),
                }));
                expanded.extend(
                    images
                        .into_iter()
                        .filter_map(|(platform, digest)| of_platform(&target, platform, digest)),
                );
            }
            Err(error) => failures.push(Failure {
                target: target.input.clone(),
                error: error.context(what()),
            }),
        }
    }
    request.targets = expanded;
    if request.targets.is_empty() {
        return Err(Failure::joined(&failures));
    }
    Ok(failures)
}

/// The platform that is scanned of an index in a registry: the requested one, else `linux/amd64`. It does not depend on this
/// machine, since Trivy's registry client does not (`defaultPlatform` in `pkg/v1/remote/options.go` of
/// github.com/google/go-containerregistry). Docker, Podman and containerd have one image under a name, and Trivy scans that one:
/// of the daemons it passes the platform to containerd alone (aquasecurity/trivy, `pkg/fanal/image/daemon`).
pub(crate) fn of_index(request: &Request, target: Option<&TargetRequest>) -> Platform {
    let of_target = target.and_then(|target| target.platform.as_ref());
    of_target
        .or(request.platform.as_ref())
        .cloned()
        .unwrap_or_else(|| Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        })
}

/// Check that the image of `report` is for the platform that `request` names. Variants do not count: configurations often
/// have none.
///
/// # Errors
/// When it is for another one, as an image that is not an index, or that a daemon has, may be.
pub(super) fn check(request: &Request, report: &Report) -> anyhow::Result<()> {
    let config = &report.metadata.image_config;
    let (Some(expected), Some(os), Some(architecture)) = (
        &request.platform,
        config["os"].as_str(),
        config["architecture"].as_str(),
    ) else {
        return Ok(());
    };
    ensure!(
        os.is_empty()
            || architecture.is_empty()
            || (os, architecture) == (&*expected.os, &*expected.architecture),
        "the image is for {os}/{architecture}, and `platform` is {expected}; a name in Docker is that of one image: with `image-sources: remote`, the registry's is scanned"
    );
    Ok(())
}

/// The registry of `image`, with its login.
///
/// # Errors
/// When there is no client, or signing in fails.
pub(crate) async fn registry_of(
    ctx: &Context,
    request: &Request,
    image: &ImageRef,
) -> anyhow::Result<Arc<Registry>> {
    let (host, _) = image.in_registry();
    Login::client(request.registries.get(host), ctx, host).await
}

// Platform and digest of each image that `target` stands for.
async fn images(
    ctx: &Context,
    request: &Request,
    target: &TargetRequest,
) -> anyhow::Result<Vec<(Platform, String)>> {
    let image = reference(target).context("it is not an image")?;
    let (host, repository) = image.in_registry();
    let registry = registry_of(ctx, request, &image).await?;
    let manifest = registry.manifest(&repository, image.reference()).await?;
    let manifest = manifest.with_context(|| {
        format!("`{host}` has no such image; push it in an earlier step: `platforms` is for images of a registry")
    })?;
    registry.platforms(&repository, &manifest).await
}

/// Those of `found` that `requested` has, and a problem for each platform that is missing.
fn select<'a>(
    requested: &Platforms,
    found: &'a [(Platform, String)],
) -> (Vec<&'a (Platform, String)>, Vec<String>) {
    let Platforms::Some(requested) = requested else {
        let missing = found
            .is_empty()
            .then(|| "it has no image for any platform".to_owned());
        return (found.iter().collect(), missing.into_iter().collect());
    };
    let mut images: Vec<&(Platform, String)> = Vec::new();
    let mut missing = Vec::new();
    for platform in requested {
        let mut matching = found
            .iter()
            .filter(|(own, _)| platform.includes(own))
            .peekable();
        if matching.peek().is_none() {
            let others: Vec<_> = found.iter().map(|(own, _)| own.to_string()).collect();
            missing.push(format!(
                "it has no image for {platform}, only for {}",
                if others.is_empty() {
                    "none".to_owned()
                } else {
                    others.join(", ")
                }
            ));
        }
        for image in matching {
            if !images.contains(&image) {
                images.push(image);
            }
        }
    }
    (images, missing)
}

// `target` as the image of one platform, by its digest.
fn reference(target: &TargetRequest) -> Option<ImageRef> {
    match &target.target {
        Target::Image(image) => image.parse().ok(),
        _ => None,
    }
}

fn of_platform(target: &TargetRequest, platform: &Platform, digest: &str) -> Option<TargetRequest> {
    let image = reference(target)?.with_digest(&digest.parse().ok()?);
    Some(TargetRequest {
        target: Target::Image(image.to_string()),
        platform: Some(platform.clone()),
        ..target.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn requested_platforms_are_selected_and_missing_ones_are_named() {
        let found = ["linux/amd64", "linux/arm/v6", "linux/arm/v7"];
        let found = found.map(|text| (platform(text), format!("sha256:{text}")));
        let table: [(&[&str], &[&str], &[&str]); 4] = [
            (&["linux/amd64"], &["linux/amd64"], &[]),
            (&["linux/arm"], &["linux/arm/v6", "linux/arm/v7"], &[]),
            (
                &["linux/arm", "linux/arm/v7"],
                &["linux/arm/v6", "linux/arm/v7"],
                &[],
            ),
            (
                &["linux/arm64", "linux/amd64"],
                &["linux/amd64"],
                &[
                    "it has no image for linux/arm64, only for linux/amd64, linux/arm/v6, linux/arm/v7",
                ],
            ),
        ];
        for (requested, expected, problems) in table {
            let requested = Platforms::Some(requested.iter().map(|text| platform(text)).collect());
            let (images, missing) = select(&requested, &found);
            let images: Vec<_> = images.iter().map(|(own, _)| own.to_string()).collect();
            assert_eq!(images, expected);
            assert_eq!(missing, problems);
        }
        assert_eq!(select(&Platforms::All, &found).0.len(), 3);
        assert_eq!(select(&Platforms::All, &[]).1.len(), 1);
    }
}
