//! How a patch was made, for other tools: the provenance of SLSA (slsa.dev/spec/v1.1/provenance).

use actions_toolkit::GithubEnv;
use oci::ImageRef;
use serde_json::{Value, json};

use super::vex;
use crate::verify::Comparison;

/// The type of a statement that has one.
pub(crate) const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What is done with the parameters: Copa updates the packages of an image.
const BUILD_TYPE: &str = "https://project-copacetic.github.io/copacetic/website/";
/// Who does it where no workflow does.
const TERMINAL: &str = "urn:seaworthy:copacetic-patch";

/// An image that was patched.
pub(crate) struct Original<'a> {
    pub(crate) image: &'a ImageRef,
    /// Of its manifest, or its id in Docker.
    pub(crate) digest: &'a str,
    /// Whether a registry has it.
    pub(crate) is_in_registry: bool,
}

/// The program that makes the patch.
pub(crate) struct Builder {
    /// The workflow.
    id: String,
    /// The web page of the run.
    invocation: Option<String>,
}

impl Builder {
    /// The workflow of the run.
    pub(crate) fn new(github: &GithubEnv<'_>) -> Self {
        let workflow = || {
            let (repository, path) = (github.repository()?, github.workflow_path()?);
            let server = github.server_url();
            Some(format!(
                "{server}/{repository}/{path}@{}",
                github.git_ref()?
            ))
        };
        Self {
            id: workflow().unwrap_or_else(|| TERMINAL.to_owned()),
            invocation: github.run_url(),
        }
    }
}

/// That `builder` made a patch of `original` by `comparisons`, one for each platform; `now` is RFC 3339.
pub(crate) fn predicate(
    builder: &Builder,
    original: &Original<'_>,
    comparisons: &[&Comparison],
    now: &str,
) -> Value {
    let (algorithm, hex) = original.digest.split_once(':').unwrap_or_default();
    let mut image = json!({"name": original.image.to_string(), "digest": {(algorithm): hex}});
    if original.is_in_registry {
        image["uri"] = vex::product(original.image, original.digest).into();
    }
    let updated = comparisons
        .iter()
        .flat_map(|comparison| &comparison.updated);
    let purls = updated.map(|updated| updated.purl.as_str());
    // A report of another tool may lack them.
    let mut packages: Vec<_> = purls.filter(|purl| !purl.is_empty()).collect();
    packages.sort_unstable();
    packages.dedup();
    let packages = packages.into_iter().map(|purl| json!({"uri": purl}));
    let dependencies: Vec<_> = std::iter::once(image).chain(packages).collect();
    let mut metadata = json!({"finishedOn": now});
    if let Some(invocation) = &builder.invocation {
        metadata["invocationId"] = invocation.as_str().into();
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": original.image.to_string()},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {
                "id": builder.id,
                "version": {"copacetic-patch": env!("CARGO_PKG_VERSION")},
            },
            "metadata": metadata,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::comparison::tests::comparison;

    #[test]
    fn the_original_and_the_new_packages_are_what_a_patch_is_made_of() {
        let comparison = comparison(&[("openssl", "1", "2")], &[("openssl", "2", "-")]);
        let image = "ghcr.io/team/app:1".parse().unwrap();
        let builder = Builder {
            id: "https://github.com/team/app/.github/workflows/patch.yml@refs/heads/main".into(),
            invocation: Some("https://github.com/team/app/actions/runs/42".into()),
        };
        let original = Original {
            image: &image,
            digest: "sha256:ab",
            is_in_registry: true,
        };
        // Of two platforms.
        let both = [&comparison, &comparison];
        let mut predicate = predicate(&builder, &original, &both, "2026-01-01T00:00:00Z");
        let version = &mut predicate["runDetails"]["builder"]["version"];
        assert!(version.take()["copacetic-patch"].is_string());
        insta::assert_json_snapshot!(predicate, @r#"
        {
          "buildDefinition": {
            "buildType": "https://project-copacetic.github.io/copacetic/website/",
            "externalParameters": {
              "image": "ghcr.io/team/app:1"
            },
            "resolvedDependencies": [
              {
                "digest": {
                  "sha256": "ab"
                },
                "name": "ghcr.io/team/app:1",
                "uri": "pkg:oci/app@sha256%3Aab?repository_url=ghcr.io/team/app"
              },
              {
                "uri": "pkg:deb/debian/openssl@2?arch=amd64"
              }
            ]
          },
          "runDetails": {
            "builder": {
              "id": "https://github.com/team/app/.github/workflows/patch.yml@refs/heads/main",
              "version": null
            },
            "metadata": {
              "finishedOn": "2026-01-01T00:00:00Z",
              "invocationId": "https://github.com/team/app/actions/runs/42"
            }
          }
        }
        "#);
    }

    #[test]
    fn an_image_of_docker_has_no_address() {
        let image = "app:1".parse().unwrap();
        let builder = Builder {
            id: TERMINAL.into(),
            invocation: None,
        };
        let original = Original {
            image: &image,
            digest: "sha256:ab",
            is_in_registry: false,
        };
        let predicate = predicate(&builder, &original, &[], "2026-01-01T00:00:00Z");
        let dependencies = &predicate["buildDefinition"]["resolvedDependencies"];
        assert_eq!(
            *dependencies,
            json!([{"name": "app:1", "digest": {"sha256": "ab"}}])
        );
    }
}
