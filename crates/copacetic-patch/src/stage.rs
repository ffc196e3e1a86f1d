//! The patched image, where nobody can see it yet.

use std::collections::BTreeMap;
use std::path::Path;

use actions_toolkit::text::plural;
use anyhow::{Context as _, anyhow, bail};
use docker::{ImageInfo, StoredImage};
use oci::ImageRef;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::copa::Run;
use crate::job::{Job, Source};
use crate::plan::Plan;

/// Runs of Copa, each without the packages that the one before could not have.
const ROUNDS: usize = 3;
/// The tag under which Copa leaves what it made.
const RAW: &str = "made-by-copa";
/// The tag under which that lies with its lineage.
const STAGED: &str = "staged";
/// The label in which Copa notes the image that it patched: here, a name on our loopback port.
const BASE: &str = "BaseImage";
/// What a patched image was made from (project-copacetic/copacetic, issue 1678).
pub(crate) const ORIGIN: &str = "sh.copa.patch.origin.";

/// Whether a patch may set the label `name`.
pub(crate) fn is_lineage(name: &str) -> bool {
    name == BASE || name.starts_with(ORIGIN)
}

/// A patched image that nobody uses yet.
pub(crate) struct Staged {
    /// Packages whose update could not be had, each with the reason.
    pub(crate) left_out: BTreeMap<String, String>,
    pub(crate) image: StoredImage,
    /// Its name in the local registry.
    pub(crate) name: ImageRef,
    loaded: OnceCell<ImageRef>,
}

impl Staged {
    /// Make it.
    ///
    /// # Errors
    /// When BuildKit does not come up, or Copa makes no image.
    pub(crate) async fn make(job: &Job<'_, '_>, plan: &Plan) -> anyhow::Result<Self> {
        let session = job.session;
        let folder = session.new_folder()?;
        // The tooling image comes with the image where both are Docker's.
        let images = async { Ok((job.served().await?, session.tooling().await?)) };
        let ((served, tooling), address) = tokio::try_join!(images, session.buildkit())?;
        let copa = Run {
            image: served,
            tag: RAW,
            address: &address,
            tooling,
            limit: session.request.limit,
        };
        let left_out = update(job, &copa, plan, &folder).await?;
        let local = &session.local;
        let Some(made) = local.image(&served.with_tag(RAW)?).await? else {
            bail!("Copa ended well, but made no image; its words are in the log");
        };
        let lineage = [
            (BASE.to_owned(), base(&job.image, &job.order.image)),
            (format!("{ORIGIN}name"), job.order.image.to_string()),
            (format!("{ORIGIN}digest"), job.origin().to_owned()),
        ];
        let config = labelled(&made.config, &lineage)?;
        let digest = local.put_blob(&config)?;
        let mut manifest = made.manifest.as_oci();
        manifest.config = oci::Descriptor::new(oci::CONFIG, &digest, config.len() as u64);
        let [_, origin @ ..] = lineage;
        manifest.annotations.extend(origin);
        let name = served.with_tag(STAGED)?;
        local.put(&name, &manifest)?;
        let image = local.image(&name).await?;
        Ok(Self {
            left_out,
            image: image.context("the patched image is gone")?,
            name,
            loaded: OnceCell::new(),
        })
    }

    /// Its name in Docker, where nobody looks for it; it is brought there at the first call.
    ///
    /// # Errors
    /// When Docker does not take it.
    pub(crate) async fn in_docker(&self, job: &Job<'_, '_>) -> anyhow::Result<&ImageRef> {
        let session = job.session;
        let load = || async {
            // Two runs at once must not meet, whatever they patch.
            let tag = format!("staging-{}", session.id);
            let name = job.order.patched.with_tag(&tag)?;
            session.passing(name.clone());
            let shared = match job.source {
                Source::Docker => self.shared_layers(&job.image),
                Source::Registry { .. } => 0,
            };
            let local = &session.local;
            session
                .docker
                .load(local, &self.image, &name, shared)
                .await?;
            anyhow::Ok(name)
        };
        self.loaded.get_or_try_init(load).await
    }

    // How many layers it has in common with the image that it was made from.
    fn shared_layers(&self, image: &ImageInfo) -> usize {
        let pairs = self.image.info.diff_ids.iter().zip(&image.diff_ids);
        pairs.take_while(|(own, other)| own == other).count()
    }
}

// An image that was patched before keeps the base that Copa goes back to.
fn base(image: &ImageInfo, name: &ImageRef) -> String {
    let known = image.config.labels.get(BASE);
    known.cloned().unwrap_or_else(|| name.to_string())
}

// Copa notes the name under which it got the image, which means nothing beyond this run, and under
// `labels`, where only Docker looks: the specification writes `Labels`.
fn labelled(config: &[u8], lineage: &[(String, String)]) -> anyhow::Result<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(config).context("in the image's configuration")?;
    let fields = json
        .as_object_mut()
        .context("in the image's configuration")?;
    let config = fields.entry("config").or_insert_with(|| Map::new().into());
    let config = config
        .as_object_mut()
        .context("in the image's configuration")?;
    let mut labels = Map::new();
    for name in ["labels", "Labels"] {
        if let Some(Value::Object(known)) = config.remove(name) {
            labels.extend(known);
        }
    }
    for (name, value) in lineage {
        labels.insert(name.clone(), value.clone().into());
    }
    config.insert("Labels".into(), labels.into());
    serde_json::to_vec(&json).context("while writing the image's configuration")
}

// Run Copa; again without the packages that can't be had, if it names some.
async fn update(
    job: &Job<'_, '_>,
    copa: &Run<'_>,
    plan: &Plan,
    folder: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut left_out = BTreeMap::new();
    let mut plan = plan.clone();
    let mut once_more = true;
    for _ in 0..=ROUNDS {
        let Err(failure) = copa.patch(job.session.ctx, &plan, folder).await? else {
            return Ok(left_out);
        };
        if let Some(end) = job.session.end_of_buildkit().await {
            return Err(because(BTreeMap::new(), end));
        }
        if let Some(trouble) = job.session.local.trouble() {
            return Err(anyhow!(trouble).context("while keeping what Copa made"));
        }
        // A hiccup of the machine or of the archive, for all that is known.
        if failure.is_unexplained && std::mem::take(&mut once_more) {
            let reason = failure.reason;
            let log = job.session.ctx.log();
            log.warning(format!("Copa is started once more: {reason}"));
            continue;
        }
        let blamed: BTreeMap<_, _> = failure
            .packages
            .into_iter()
            .filter(|(package, _)| plan.has(package))
            .collect();
        let Some(rest) = plan.without(blamed.keys().map(String::as_str)) else {
            return Err(because(blamed, failure.reason));
        };
        for (package, reason) in &blamed {
            let count = plural(rest.packages().count(), "other package");
            job.session.ctx.log().warning(format!(
                "`{package}` can't be updated: {reason}; going on with {count}"
            ));
        }
        left_out.extend(blamed);
        plan = rest;
    }
    bail!(
        "Copa could not patch the image, also without {}",
        left_out.into_keys().collect::<Vec<_>>().join(", ")
    )
}

fn because(blamed: BTreeMap<String, String>, reason: String) -> anyhow::Error {
    let named = blamed
        .into_iter()
        .map(|(name, why)| format!("`{name}`: {why}"));
    let reason = named
        .reduce(|all, one| format!("{all}; {one}"))
        .unwrap_or(reason);
    anyhow!(reason).context("Copa could not patch the image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lineage_stands_where_the_specification_has_labels() {
        let config = br#"{"config": {"User": "1", "Labels": {"team": "web"}, "labels": {"BaseImage": "127.0.0.1:1/x"}}}"#;
        let lineage = [("BaseImage".to_owned(), "app:1".to_owned())];
        let json: Value = serde_json::from_slice(&labelled(config, &lineage).unwrap()).unwrap();
        insta::assert_json_snapshot!(json, @r#"
        {
          "config": {
            "Labels": {
              "BaseImage": "app:1",
              "team": "web"
            },
            "User": "1"
          }
        }
        "#);
    }

    #[test]
    fn the_packages_that_can_not_be_had_are_named() {
        let blamed = [("openssl".to_owned(), "no".to_owned())].into();
        assert_eq!(
            format!("{:#}", because(blamed, "exit code 1".into())),
            "Copa could not patch the image: `openssl`: no"
        );
        assert_eq!(
            format!("{:#}", because(BTreeMap::new(), "exit code 1".into())),
            "Copa could not patch the image: exit code 1"
        );
    }
}
