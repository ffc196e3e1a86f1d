//! What an image needs, by a scan of it and of its earlier patch, and what became of it.

use actions_toolkit::text::plural;

use crate::attempt::Attempt;
use crate::patch::Plan;
use crate::report;
use crate::targets::{BaselineReport, ExistingPatch, ImagePatch};
use crate::verify;

/// What an image needs.
pub(crate) enum Assessment {
    /// Nothing: its earlier patch has nothing to fix.
    Current(Box<Current>),
    /// Nothing: it has nothing to fix itself.
    UpToDate(Box<BaselineReport>),
    Fixable(Box<Fixable>),
}

/// An image that has updates.
pub(crate) struct Fixable {
    existing: Option<ExistingPatch>,
    baseline: BaselineReport,
    plan: Plan,
}

/// An earlier patch that has every update that is available today.
pub(crate) struct Current {
    pub(crate) existing: ExistingPatch,
    /// A report of the original, if there is one.
    pub(crate) baseline: Option<BaselineReport>,
}

impl Fixable {
    /// The updates.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What became of an image that has no tag yet.
pub(crate) enum Verified {
    Current(Box<Current>),
    UpToDate(Box<BaselineReport>),
    /// A patched image that passed its verification.
    Patched(Box<Attempt>),
}

impl Assessment {
    /// Scan the image and its earlier patch.
    ///
    /// # Errors
    /// When one can't be read or scanned, or is of a distribution that Copa does not support.
    pub(crate) async fn of(patch: &ImagePatch<'_, '_>) -> anyhow::Result<Self> {
        let existing = match patch.existing().await? {
            Some(existing) if patch.plan(&existing.scanned.report)?.is_empty() => {
                report::warn_of_end_of_life(patch, &existing.scanned.report);
                let baseline = BaselineReport::from_input(patch).await?;
                return Ok(Self::Current(Box::new(Current { existing, baseline })));
            }
            existing => existing,
        };
        let baseline = BaselineReport::load(patch).await?;
        report::warn_of_end_of_life(patch, baseline.report());
        let plan = patch.plan(baseline.report())?;
        if plan.is_empty() {
            return Ok(Self::UpToDate(Box::new(baseline)));
        }
        patch.check_layers()?;
        let packages: Vec<_> = plan.packages().collect();
        patch.log.info(format!(
            "{} can be updated: {}",
            plural(packages.len(), "package"),
            packages.join(", ")
        ));
        Ok(Self::Fixable(Box::new(Fixable {
            existing,
            baseline,
            plan,
        })))
    }

    /// Patch and verify the image, if it needs that.
    ///
    /// # Errors
    /// `PolicyFailure` when the patched image fails its verification; anything else when there is no verdict.
    pub(crate) async fn patched(self, patch: &ImagePatch<'_, '_>) -> anyhow::Result<Verified> {
        let fixable = match self {
            Self::Current(current) => return Ok(Verified::Current(current)),
            Self::UpToDate(baseline) => return Ok(Verified::UpToDate(baseline)),
            Self::Fixable(fixable) => *fixable,
        };
        let Fixable {
            existing,
            baseline,
            plan,
        } = fixable;
        let attempt = Attempt::verified(patch, baseline, &plan).await?;
        let after = &attempt.verification.after.report;
        match existing {
            Some(existing) if verify::same_packages(&existing.scanned.report, after) => {
                Ok(Verified::Current(Box::new(Current {
                    existing,
                    baseline: Some(attempt.verification.baseline),
                })))
            }
            _ => Ok(Verified::Patched(Box::new(attempt))),
        }
    }
}
