//! The patched image, under a name that nobody uses.

use std::collections::BTreeMap;
use std::path::Path;

use actions_toolkit::text::plural;
use anyhow::{Context as _, anyhow, bail};
use container::{BuildRequest, EngineRegistry, ImageRef};

use crate::buildkit::BuildKit;
use crate::copa::Run;
use crate::job::Job;
use crate::plan::Plan;
use crate::request;

/// Runs of Copa, each without the packages that the one before could not have.
const ROUNDS: usize = 3;
/// The label in which Copa notes the image that it patched: here, a name on our loopback port.
const BASE: &str = "BaseImage";
/// What a patched image was made from (project-copacetic/copacetic, issue 1678).
const ORIGIN: &str = "sh.copa.patch.origin.";

/// Whether a patch may add the label `name`.
pub(crate) fn is_lineage(name: &str) -> bool {
    name == BASE || name.starts_with(ORIGIN)
}

/// A patched image that nobody uses yet: it has the name [`Job::staging`].
pub(crate) struct Staged {
    /// Packages whose update could not be had, each with the reason.
    pub(crate) left_out: BTreeMap<String, String>,
}

impl Staged {
    /// Make it.
    ///
    /// # Errors
    /// When BuildKit does not come up, or Copa makes no image.
    pub(crate) async fn make(job: &Job<'_>, plan: &Plan) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("drydock-patch-")
            .tempdir_in(job.ctx.temp_dir())
            .context("while making a folder for Copa")?;
        let (served, buildkit) =
            tokio::try_join!(Served::new(job, folder.path()), builder(job, folder.path()))?;
        let address = match (&buildkit, &job.request.buildkit) {
            (Some(own), _) => own.address(),
            (None, request::BuildKit::At(address)) => address.clone(),
            (None, request::BuildKit::Own(_)) => bail!("there is no BuildKit"),
        };
        let tag = job.staging.tag().unwrap_or_default();
        let copa = Run {
            image: &served.image,
            tag,
            address: &address,
            tooling: served.tooling.as_deref(),
            limit: job.request.limit,
        };
        let loaded = served.image.with_tag(tag)?;
        job.passing(loaded.clone());
        let made = async {
            let left_out = update(job, &copa, plan, folder.path()).await?;
            if job.engine.inspect(&loaded).await?.is_none() {
                bail!("Copa ended well, but made no image; its words are in the log");
            }
            Ok(left_out)
        }
        .await;
        // To remove BuildKit with all that it cached takes a second: the labels need not wait for it.
        let removed = async {
            if let Some(own) = buildkit {
                own.remove().await;
            }
        };
        let labelled = async {
            let left_out = made?;
            label(job, &loaded, folder.path()).await?;
            anyhow::Ok(left_out)
        };
        let ((), left_out) = tokio::join!(removed, labelled);
        Ok(Self {
            left_out: left_out?,
        })
    }
}

// The images that BuildKit needs, where it finds them.
struct Served {
    _registry: EngineRegistry,
    image: ImageRef,
    tooling: Option<String>,
}

impl Served {
    async fn new(job: &Job<'_>, folder: &Path) -> anyhow::Result<Self> {
        let mut images = vec![job.request.image.clone()];
        let mut local = None;
        if let Some(tooling) = &job.request.tooling
            && job.engine.inspect(tooling).await?.is_some()
        {
            local = Some(tooling);
            images.push(tooling.clone());
        }
        let registry = EngineRegistry::serve(&job.engine, &images, folder).await?;
        let tooling = match (local, &job.request.tooling) {
            (Some(local), _) => Some(registry.reference_for(local)?.to_string()),
            (None, Some(remote)) => Some(full_name(remote)),
            (None, None) => None,
        };
        Ok(Self {
            image: registry.reference_for(&job.request.image)?,
            tooling,
            _registry: registry,
        })
    }
}

async fn builder(job: &Job<'_>, folder: &Path) -> anyhow::Result<Option<BuildKit>> {
    match &job.request.buildkit {
        request::BuildKit::At(_) => Ok(None),
        request::BuildKit::Own(image) => Ok(Some(
            BuildKit::start(&job.engine, image, folder, &job.id).await?,
        )),
    }
}

// BuildKit compares names in full: `docker.io/library/debian:trixie-slim`.
fn full_name(image: &ImageRef) -> String {
    let separator = if image.digest().is_some() { '@' } else { ':' };
    let repository = match image.registry() {
        Some(_) => image.without_version(),
        None if image.repository().contains('/') => format!("docker.io/{}", image.repository()),
        None => format!("docker.io/library/{}", image.repository()),
    };
    format!("{repository}{separator}{}", image.reference())
}

// Run Copa; again without the packages that can't be had, if it names some.
async fn update(
    job: &Job<'_>,
    copa: &Run<'_>,
    plan: &Plan,
    folder: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut left_out = BTreeMap::new();
    let mut plan = plan.clone();
    for _ in 0..ROUNDS {
        let Err(failure) = copa.patch(job.ctx, &plan, folder).await? else {
            return Ok(left_out);
        };
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
            job.ctx.log().warning(format!(
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

// Copa notes the name under which it got the image, which means nothing beyond this run. A build of
// nothing but labels puts the image's own name there.
async fn label(job: &Job<'_>, loaded: &ImageRef, folder: &Path) -> anyhow::Result<()> {
    let context = folder.join("label");
    std::fs::create_dir(&context).context("while preparing the labels")?;
    std::fs::write(context.join("Dockerfile"), format!("FROM {loaded}\n"))
        .context("while preparing the labels")?;
    let known = &job.image.config.labels;
    let label = |name: String, value: &str| {
        // An image that was patched before keeps what it was first made from.
        let value = known.get(&name).map_or(value, String::as_str).to_owned();
        (name, value)
    };
    let request = BuildRequest {
        context,
        dockerfile: "Dockerfile".into(),
        target: None,
        image: job.staging.clone(),
        build_args: Vec::new(),
        labels: vec![
            label(BASE.into(), &job.request.image.to_string()),
            label(format!("{ORIGIN}name"), &job.request.image.to_string()),
            label(format!("{ORIGIN}digest"), &job.image.id),
        ],
    };
    let built = job.engine.build(&request, |_| ()).await;
    built.context("while labelling the patched image").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_full() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let table = [
            (
                "debian:trixie-slim",
                "docker.io/library/debian:trixie-slim".to_owned(),
            ),
            ("debian", "docker.io/library/debian:latest".to_owned()),
            ("team/tools:1", "docker.io/team/tools:1".to_owned()),
            (
                "mirror.example:5000/debian:13",
                "mirror.example:5000/debian:13".to_owned(),
            ),
            (
                &format!("debian:13@{digest}"),
                format!("docker.io/library/debian@{digest}"),
            ),
        ];
        for (given, full) in table {
            assert_eq!(full_name(&given.parse().unwrap()), full);
        }
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
