//! One patched image with its verification; without the Python packages if it passes only so.

use crate::patch::{PatchedImage, Plan};
use crate::publish::{self, Promoted};
use crate::targets::{BaselineReport, ImagePatch};
use crate::verify::{self, Verification};

/// A patched image that passed its verification.
pub(crate) struct Attempt {
    pub(crate) patched_image: PatchedImage,
    pub(crate) verification: Verification,
    /// Its smoke test runs during the verification, and counts only if that passes.
    smoke_test: anyhow::Result<()>,
}

impl Attempt {
    /// Patch and verify the image by `plan`. If that fails and the plan has Python packages, once more without them:
    /// the reason is then theirs.
    ///
    /// # Errors
    /// `PolicyFailure` when the patched image fails its verification; anything else when there is no verdict.
    pub(crate) async fn verified(
        patch: &ImagePatch<'_, '_>,
        baseline: BaselineReport,
        plan: &Plan,
    ) -> anyhow::Result<Self> {
        let is_only = patch.is_only();
        let Some(system) = plan.without_libraries() else {
            return Self::run(patch, baseline, plan, is_only).await;
        };
        let error = match Self::run(patch, baseline.clone(), plan, false).await {
            Ok(attempt) => return Ok(attempt),
            Err(error) => error,
        };
        let reason = format!("{error:#}");
        let reason = reason
            .strip_suffix(&format!("; {}", patch.untouched()))
            .unwrap_or(&reason);
        let log = &patch.log;
        log.warning(format!("Python packages are not updated: {reason}"));
        let mut attempt = Self::run(patch, baseline, &system, is_only).await?;
        let skipped = plan.libraries().iter();
        let skipped = skipped.map(|library| (library.name.clone(), reason.to_owned()));
        attempt.patched_image.skipped.extend(skipped);
        let skipped = &attempt.patched_image.skipped;
        attempt.verification.compare_again(plan, skipped);
        Ok(attempt)
    }

    async fn run(
        patch: &ImagePatch<'_, '_>,
        baseline: BaselineReport,
        plan: &Plan,
        is_last: bool,
    ) -> anyhow::Result<Self> {
        let session = patch.session;
        // Without a second scan there is no verdict: an unavailable database ends the patch at once.
        let build = Box::pin(PatchedImage::build(patch, plan));
        let (patched_image, ()) = tokio::try_join!(build, session.database())?;
        // To remove BuildKit with all that it cached takes a second, which the verification need not wait for.
        let release = async {
            if is_last {
                session.release_buildkit().await;
            }
            Ok(())
        };
        let smoke_test = Box::pin(async { Ok(verify::smoke_test(patch, &patched_image).await) });
        let verification = Box::pin(Verification::run(patch, baseline, plan, &patched_image));
        let (verification, smoke_test, ()) = tokio::try_join!(verification, smoke_test, release)?;
        Ok(Self {
            patched_image,
            verification,
            smoke_test,
        })
    }

    /// # Errors
    /// When the smoke test failed.
    pub(crate) fn passes_smoke_test(&mut self, patch: &ImagePatch<'_, '_>) -> anyhow::Result<()> {
        let smoke_test = std::mem::replace(&mut self.smoke_test, Ok(()));
        smoke_test.map_err(|error| error.context(patch.untouched()))
    }

    /// Give the image its tags, if its smoke test passed: what fails before that leaves every tag as it was.
    ///
    /// # Errors
    /// When the smoke test failed, or the image can't be pushed.
    pub(crate) async fn promote(&mut self, patch: &ImagePatch<'_, '_>) -> anyhow::Result<Promoted> {
        self.passes_smoke_test(patch)?;
        publish::promote(patch, &self.patched_image, &self.verification).await
    }
}
