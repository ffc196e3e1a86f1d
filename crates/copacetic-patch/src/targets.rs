//! The images to patch: those that are named, and those that match a filter in a registry.
//!
//! Each image has its own outcome: one that can't be read fails alone, and what is not to be patched, or can't be,
//! is skipped with its reason.

mod baseline_report;
mod found_image;
mod found_index;
mod image_patch;
mod listing;

use std::collections::HashMap;
use std::fmt;

use actions_toolkit::BadInput;
use futures_util::{StreamExt as _, stream};
use oci::ImageRef;
use registries::Selection;

use crate::lineage;
use crate::publish;
use crate::report::{Failure, Skipped, Subject};
use crate::request::{Inputs, Target};
use crate::session::Session;

pub(crate) use baseline_report::BaselineReport;
use found_image::Lookup;
pub(crate) use found_image::{Found, FoundImage, Source, Unpatchable};
pub(crate) use found_index::FoundIndex;
pub(crate) use image_patch::{ExistingPatch, ImagePatch, Part};

/// Images that are looked up at the same time.
const LOOKUPS: usize = 8;

/// What a run does.
#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) patches: Vec<(Target, Found)>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) failed: Vec<Failure>,
    /// Which images have not changed, where that is planned.
    pub(crate) lookup: Option<fleet::Lookup>,
}

/// An image that may be patched.
struct Candidate {
    image: ImageRef,
    /// Why its patch can't have a tag, otherwise.
    target: Result<Target, BadInput>,
    /// Whether the registry listed it, and no input names it.
    is_listed: bool,
}

/// The targets of a run.
///
/// # Errors
/// When the registry does not list its repositories; [`BadInput`] when none of them matches, or two images would be
/// patched under one name.
pub(crate) async fn resolve(session: &Session<'_>) -> anyhow::Result<Targets> {
    let mut targets = Targets::default();
    let named = session.request.targets.iter().map(|target| Candidate {
        image: target.image.clone(),
        target: Ok(target.clone()),
        is_listed: false,
    });
    let mut candidates: Vec<_> = named.collect();
    if let Some(selection) = &session.request.selection {
        listing::list(session, selection, &mut candidates, &mut targets).await?;
    }
    let found: Vec<_> = stream::iter(candidates.into_iter().enumerate())
        .map(async |(index, candidate)| {
            let repository = format!("image-{}", index + 1);
            let found = find(session, &candidate, repository).await;
            (candidate, found)
        })
        .buffered(LOOKUPS)
        .collect()
        .await;
    let is_only = found.len() == 1 && targets.failed.is_empty() && targets.skipped.is_empty();
    let patched = patched_names(session, &found, targets.lookup.as_ref());
    for (candidate, found) in found {
        let decided = decide(&candidate, found);
        if let (true, Ok(Some(_)), Some(original)) = (
            candidate.is_listed,
            &decided,
            original_of(&patched, &candidate.image),
        ) {
            let reason = format!("is where the patch of `{original}` goes");
            targets.skip(&candidate.image, reason, false);
            continue;
        }
        match (decided, candidate.target) {
            (Ok(Some(found)), Ok(target)) => targets.patches.push((target, found)),
            (Ok(Some(_)), Err(error)) => targets.fail(&candidate.image, None, error.into()),
            (Ok(None), _) => targets.skip(&candidate.image, "is a patched image itself", true),
            (Err(error), target) => match error.downcast_ref::<Unpatchable>() {
                Some(reason) if candidate.is_listed => targets.skip(&candidate.image, reason, true),
                // The error of a single image is the step's.
                _ if is_only => return Err(of_named(&candidate.image, error)),
                _ => {
                    let patched = target.ok().map(|target| target.patched);
                    let error = of_named(&candidate.image, error);
                    targets.fail(&candidate.image, patched, error);
                }
            },
        }
    }
    if let Some(selection) = &session.request.selection {
        targets.keep_newest(selection);
    }
    check_names(&targets.patches)?;
    announce(session, &targets);
    Ok(targets)
}

impl Targets {
    fn skip(&mut self, image: &ImageRef, reason: impl fmt::Display, is_lasting: bool) {
        self.skipped.push(Skipped {
            image: image.clone(),
            reason: reason.to_string(),
            is_lasting,
        });
    }

    // Skip the images that are too old, and those beyond the newest ones of their repository.
    fn keep_newest(&mut self, selection: &Selection) {
        let patches = std::mem::take(&mut self.patches);
        let unchanged = self
            .lookup
            .as_ref()
            .map(fleet::Lookup::dates)
            .unwrap_or_default();
        let dates = patches
            .iter()
            .map(|(target, found)| (&target.image, found.created()));
        let earlier = unchanged
            .iter()
            .map(|(image, created)| (image, created.as_str()));
        let dates: Vec<_> = dates.chain(earlier).collect();
        let mut left_out: HashMap<ImageRef, _> = selection
            .left_out(&dates)
            .into_iter()
            .map(|(image, reason)| (image.clone(), reason))
            .collect();
        for (target, found) in patches {
            match left_out.remove(&target.image) {
                Some(reason) => self.skip(&target.image, reason, false),
                None => self.patches.push((target, found)),
            }
        }
        for (image, reason) in left_out {
            self.skip(&image, reason, false);
        }
    }

    fn fail(&mut self, image: &ImageRef, patched: Option<ImageRef>, error: anyhow::Error) {
        let subject = Subject::Image {
            image: image.clone(),
            patched,
        };
        self.failed.push(Failure { subject, error });
    }
}

// The image, unless the name of its patch is that of something else.
async fn find(
    session: &Session<'_>,
    candidate: &Candidate,
    repository: String,
) -> anyhow::Result<Found> {
    let in_place = candidate.target.as_ref().is_ok_and(Target::is_in_place);
    let lookup = Lookup {
        image: &candidate.image,
        is_listed: candidate.is_listed,
        in_place,
    };
    let found = Found::find(session, lookup, repository).await?;
    if let (Ok(target), false) = (&candidate.target, is_patch(candidate, &found)) {
        publish::check_tag(session, target, found.digest()).await?;
    }
    Ok(found)
}

// The image if it is to be patched; `None` for one that was listed and is itself a patch.
fn decide(candidate: &Candidate, found: anyhow::Result<Found>) -> anyhow::Result<Option<Found>> {
    let found = found?;
    Ok((!is_patch(candidate, &found)).then_some(found))
}

// Whether it was listed and is itself a patch. One that is replaced under its own tag is patched again.
fn is_patch(candidate: &Candidate, found: &Found) -> bool {
    let in_place = candidate.target.as_ref().is_ok_and(Target::is_in_place);
    let origin = found.patch_of().filter(|_| candidate.is_listed);
    origin.is_some_and(|origin| !in_place || lineage::is_number_of(&candidate.image, origin))
}

// The names that the patches of all images get, each with its image. What a registry has under such a name is of this action: also an
// original that had nothing to fix, which does not say so itself.
fn patched_names(
    session: &Session<'_>,
    found: &[(Candidate, anyhow::Result<Found>)],
    lookup: Option<&fleet::Lookup>,
) -> HashMap<ImageRef, ImageRef> {
    let found = found
        .iter()
        .filter_map(|(candidate, _)| candidate.target.as_ref().ok().cloned());
    let unchanged = lookup.into_iter().flat_map(|lookup| &lookup.unchanged);
    let unchanged = unchanged.filter_map(|entry| {
        let image = entry.image.parse::<ImageRef>().ok()?;
        session.request.naming.target(&image).ok()
    });
    let targets = found
        .chain(unchanged)
        .filter(|target| !target.is_in_place());
    targets
        .map(|target| (target.patched, target.image))
        .collect()
}

// The image whose patch has the name `image`, or that with a number.
fn original_of<'n>(
    names: &'n HashMap<ImageRef, ImageRef>,
    image: &ImageRef,
) -> Option<&'n ImageRef> {
    let numbered = || {
        let (tag, number) = image.tag()?.rsplit_once('-')?;
        number.parse::<u32>().ok()?;
        names.get(&image.with_tag(tag).ok()?)
    };
    names.get(image).or_else(numbered)
}

fn of_named(image: &ImageRef, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Unpatchable>() {
        Some(reason) => BadInput::new(Inputs::image, format!("`{image}` {reason}")).into(),
        None => error,
    }
}

// One name never stands for two images.
fn check_names(patches: &[(Target, Found)]) -> Result<(), BadInput> {
    let mut known: HashMap<&ImageRef, &ImageRef> = HashMap::new();
    for (target, _) in patches {
        if let Some(other) = known.insert(&target.patched, &target.image) {
            let (input, hint) = if other.tag() == target.image.tag() {
                let hint = "use a step with its own path for one of them";
                (Inputs::push_to, hint)
            } else {
                let hint = "use the original's tag in it, as in `{tag}-safe`";
                (Inputs::patched_tag, hint)
            };
            let problem = format!(
                "`{other}` and `{}` would both be patched as `{}`; {hint}",
                target.image, target.patched
            );
            return Err(BadInput::new(input, problem));
        }
    }
    Ok(())
}

fn announce(session: &Session<'_>, targets: &Targets) {
    let log = session.ctx.log();
    if session.request.selection.is_some() {
        let names = targets
            .patches
            .iter()
            .map(|(target, _)| target.image.to_string());
        let names: Vec<_> = names.collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        log.info(format!("images to patch: {names}"));
    }
    for skipped in &targets.skipped {
        log.info(format!("skipped: {} {}", skipped.image, skipped.reason));
    }
    for failure in &targets.failed {
        log.error(format!("{}: {:#}", failure.subject, failure.error));
    }
}
