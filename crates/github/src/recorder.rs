//! What the actions record in the artifact metadata of the organization, and what they log about it.
//!
//! What is missing for a record does not change the verdict on what was pushed or deployed: it is logged, and the step goes on.

use actions_toolkit::text::plural;
use actions_toolkit::{Context, Level, Log, Secret};

use crate::{
    ArtifactMetadata, Client, DeploymentPlace, DeploymentRecord, NotRecorded, StoredImage,
};

/// Writes the records of one run.
pub struct Recorder<'a> {
    log: &'a Log,
    metadata: ArtifactMetadata,
}

impl<'a> Recorder<'a> {
    /// A recorder with `token`; `None` where there is no repository to record for, which is logged.
    pub fn new(ctx: &'a Context, token: &Secret) -> Option<Self> {
        let log = ctx.log();
        match Client::from_context(ctx, token) {
            Ok(Some(client)) => {
                let metadata = client.artifact_metadata();
                return Some(Self { log, metadata });
            }
            Ok(None) => log.notice("nothing is recorded on GitHub: GITHUB_REPOSITORY is not set"),
            Err(e) => log.warning(format!("nothing is recorded on GitHub: {e:#}")),
        }
        None
    }

    /// Record that registries have `images`, which were pushed.
    pub async fn store(&self, images: &[StoredImage]) {
        for (at, image) in images.iter().enumerate() {
            let shown = format!("{}@{}", image.name(), image.digest);
            match self.metadata.store(image).await {
                Ok(()) => self
                    .log
                    .info(format!("recorded {shown} on GitHub as stored")),
                // The others would fare no better.
                Err(error) => {
                    let others = match images.len() - at - 1 {
                        0 => String::new(),
                        count => format!(", nor of {}", plural(count, "other image")),
                    };
                    let message =
                        format!("GitHub has no storage record of {shown}{others}: {error:#}");
                    self.log.annotate(level(&error), None, message);
                    return;
                }
            }
        }
    }

    /// Record what runs in `place`; nothing if there are no `records`.
    pub async fn deploy(&self, place: &DeploymentPlace, records: &[DeploymentRecord]) {
        if records.is_empty() {
            return;
        }
        let unrecorded = match self.metadata.deploy(place, records).await {
            Ok(unrecorded) => unrecorded,
            Err(error) => {
                let message = format!("the deployment is not recorded on GitHub: {error:#}");
                self.log.annotate(level(&error), None, message);
                return;
            }
        };
        for one in &unrecorded {
            let reason = match &*one.cause {
                "unauthorized" => "the token may not write to the repository of its image",
                "not_found" => "it does not know the image, or its repository",
                other => other,
            };
            let name = &one.deployment_name;
            self.log
                .notice(format!("GitHub has no record of `{name}`: {reason}"));
        }
        let recorded = records.len().saturating_sub(unrecorded.len());
        if recorded > 0 {
            self.log.info(format!(
                "recorded {} in the cluster {} on GitHub",
                plural(recorded, "deployment"),
                place.cluster
            ));
        }
    }
}

// What the run or the server lacks is for its owner to decide; a failure of GitHub is not.
fn level(error: &NotRecorded) -> Level {
    match error {
        NotRecorded::Failed(_) => Level::Warning,
        NotRecorded::NotOrganization(_)
        | NotRecorded::NoPermission(_)
        | NotRecorded::NotServed(_) => Level::Notice,
    }
}
