//! The images that a registry lists, as targets: each digest of a repository once.

use std::collections::BTreeMap;
use std::sync::Arc;

use actions_toolkit::Context;
use actions_toolkit::text::plural;
use anyhow::Context as _;
use fleet::{Fleet, Item, Lookup, Part};
use futures_util::{StreamExt as _, stream};
use oci::{Digest, ImageRef, RawManifest, Registry};
use registries::{Login, Selection, not_an_image};
use serde_json::Value;
use trivy::Target;

use super::{Failure, of_index};
use crate::request::{Listed, Request, ScanType, TargetRequest};

/// Images that are looked up at the same time.
const LOOKUPS: usize = 8;

/// What the registry lists, in addition to the targets.
#[derive(Default)]
pub(crate) struct Listing {
    /// `None` if no registry is listed.
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) failures: Vec<Failure>,
    /// Images that are not scanned.
    pub(crate) skipped: Vec<Skip>,
    /// Which images have not changed, where that is planned.
    pub(crate) lookup: Option<Lookup>,
}

/// An image that is not scanned.
pub(crate) struct Skip {
    pub(crate) image: ImageRef,
    /// What follows the name in a sentence.
    pub(crate) reason: String,
    /// Whether that is so as long as the image does not change.
    pub(crate) is_lasting: bool,
}

/// An image as the registry has it.
struct Found {
    /// What its name refers to: an index, or the image.
    root: Digest,
    /// The image to scan; the index where `platforms` chooses later.
    image: Digest,
    /// When it was made, RFC 3339, where that decides.
    created: String,
    /// Of its layers, compressed; of those of each platform, where `platforms` chooses later.
    bytes: u64,
}

/// Why an image is not scanned.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(String);

/// Add the images of the registry that `request` selects to its targets. What can't be read fails alone.
///
/// # Errors
/// When the registry does not list its repositories, or nothing matches.
pub(crate) async fn list(ctx: &Context, request: &mut Request) -> anyhow::Result<Listing> {
    let Some(selection) = request.selection.clone() else {
        return Ok(Listing::default());
    };
    let host = selection.host();
    let registry = Login::client(request.registries.get(host), ctx, host).await?;
    let fleet = request.fleet.as_ref();
    if let Some(items) = fleet.and_then(Fleet::items) {
        let targets = items.iter().map(|item| of_item(&selection, item));
        request.targets = targets.collect::<Result<_, _>>()?;
        return Ok(Listing {
            registry: Some(registry),
            ..Listing::default()
        });
    }
    let mut listed = selection.list(&registry).await?;
    let is_nothing = listed.images.is_empty() && listed.excluded.is_empty();
    if is_nothing && listed.failed.is_empty() && request.targets.is_empty() {
        return Err(selection.nothing().into());
    }
    let mut listing = Listing {
        registry: Some(Arc::clone(&registry)),
        ..Listing::default()
    };
    for (repository, error) in listed.failed {
        let error = error.context(format!("failed to list the tags of `{repository}`"));
        listing.failures.push(Failure {
            target: repository,
            error,
        });
    }
    for image in &listed.excluded {
        listing.skip(image, "is excluded by `exclude`", false);
    }
    if let Some(fleet) = fleet.filter(|fleet| fleet.part == Part::Plan) {
        let mut lookup = Lookup::new(ctx, fleet, &registry, listed.images, true).await;
        listed.images = std::mem::take(&mut lookup.changed);
        listing.lookup = Some(lookup);
    }
    let lookups = stream::iter(listed.images).map(async |image| {
        let found = find(&registry, request, &selection, &image).await;
        (image, found)
    });
    let lookups: Vec<_> = lookups.buffered(LOOKUPS).collect().await;
    let mut found = Vec::new();
    for (image, lookup) in lookups {
        match lookup {
            Ok(one) => found.push((image, one)),
            Err(error) => {
                if let Some(reason) = error.downcast_ref::<Skipped>() {
                    listing.skip(&image, reason, true);
                } else {
                    let error = error.context(format!("failed to scan image `{image}`"));
                    listing.failures.push(Failure {
                        target: image.to_string(),
                        error,
                    });
                }
            }
        }
    }
    let unchanged = listing.lookup.as_ref();
    let unchanged = unchanged.map(Lookup::dates).unwrap_or_default();
    let dates = found
        .iter()
        .map(|(image, one)| (image, one.created.as_str()));
    let earlier = unchanged
        .iter()
        .map(|(image, created)| (image, created.as_str()));
    let left_out = selection.left_out(&dates.chain(earlier).collect::<Vec<_>>());
    for (image, reason) in &left_out {
        listing.skip(image, reason, false);
    }
    let kept = found
        .iter()
        .filter(|(image, _)| !left_out.contains_key(image));
    let mut targets: Vec<TargetRequest> = Vec::new();
    let mut known: BTreeMap<(&str, &Digest), usize> = BTreeMap::new();
    for (image, one) in kept {
        let key = (image.repository(), &one.image);
        if let Some(listed) = known
            .get(&key)
            .and_then(|index| targets.get_mut(*index)?.listed.as_mut())
        {
            listed.also.extend(image.tag().map(ToOwned::to_owned));
            continue;
        }
        known.insert(key, targets.len());
        targets.push(target(&selection, image, one)?);
    }
    report(ctx, &listing, &targets);
    request.targets.extend(targets);
    Ok(listing)
}

impl Listing {
    fn skip(&mut self, image: &ImageRef, reason: &(impl ToString + ?Sized), is_lasting: bool) {
        self.skipped.push(Skip {
            image: image.clone(),
            reason: reason.to_string(),
            is_lasting,
        });
    }
}

fn report(ctx: &Context, listing: &Listing, targets: &[TargetRequest]) {
    let log = ctx.log();
    log.info(format!("images to scan: {}", targets.len()));
    for Skip { image, reason, .. } in &listing.skipped {
        log.info(format!("skipped: {image} {reason}"));
    }
    for target in targets {
        let also = target.listed.iter().flat_map(|listed| &listed.also);
        let also: Vec<_> = also.map(|tag| format!("`{tag}`")).collect();
        if !also.is_empty() {
            let count = plural(also.len(), "other tag");
            log.info(format!(
                "{} has {count}, scanned once: {}",
                target.input,
                also.join(", ")
            ));
        }
    }
}

// By its digest: a tag may move between the list and the scan.
fn target(selection: &Selection, image: &ImageRef, found: &Found) -> anyhow::Result<TargetRequest> {
    let tagged = image.to_string();
    let pinned: ImageRef = format!("{tagged}@{}", found.image).parse()?;
    let tag = image.tag().unwrap_or_default();
    Ok(TargetRequest {
        scan_type: ScanType::Image,
        input: tagged,
        target: Target::Image(pinned.to_string()),
        // The same in each run, whichever tags there are.
        name: if selection.has_one_tag() {
            image.repository().to_owned()
        } else {
            format!("{}:{tag}", image.repository())
        },
        prefix: String::new(),
        platform: None,
        checkout: None,
        listed: Some(Listed {
            root: found.root.clone(),
            also: Vec::new(),
            bytes: found.bytes,
            created: found.created.clone(),
        }),
    })
}

// The image of a plan, as it was listed then.
fn of_item(selection: &Selection, item: &Item) -> anyhow::Result<TargetRequest> {
    let root: Digest = item.digest.parse()?;
    let found = Found {
        image: match &item.part {
            Some(part) => part.parse()?,
            None => root.clone(),
        },
        root,
        created: item.created.clone(),
        bytes: item.bytes,
    };
    let mut target = target(selection, &item.image.parse()?, &found)?;
    if let Some(listed) = &mut target.listed {
        listed.also.clone_from(&item.also);
    }
    Ok(target)
}

async fn find(
    registry: &Registry,
    request: &Request,
    selection: &Selection,
    image: &ImageRef,
) -> anyhow::Result<Found> {
    let repository = image.repository();
    let manifest = registry.manifest(repository, image.reference()).await?;
    let root = manifest.context("the tag was removed")?;
    let mut count = 1;
    let single = if oci::is_index(&root.media_type) {
        let images = registry.platforms(repository, &root).await?;
        let expected = of_index(request, None);
        count = images.len() as u64;
        let own = images.iter().find(|(own, _)| expected.includes(own));
        // Those that `platforms` requests are looked up later.
        let own = own.or(images.first().filter(|_| request.platforms.is_some()));
        let Some((_, own)) = own else {
            let others: Vec<_> = images.iter().map(|(own, _)| own.to_string()).collect();
            let problem = format!(
                "has no image for {expected} (`platform`), only for {}",
                others.join(", ")
            );
            return Err(Skipped(problem).into());
        };
        let single = registry.manifest(repository, own).await?;
        single.with_context(|| format!("its index lists `{own}`, which does not exist"))?
    } else {
        root.clone()
    };
    if let Some(what) = not_an_image(&single) {
        return Err(Skipped(format!("is not an image: {what}")).into());
    }
    let parsed: oci::Manifest = serde_json::from_slice(&single.bytes)?;
    let bytes = parsed.layer_bytes();
    Ok(Found {
        bytes: match request.platforms {
            Some(_) => bytes.saturating_mul(count),
            None => bytes,
        },
        created: if selection.needs_dates() {
            created(registry, repository, &single).await?
        } else {
            String::new()
        },
        image: if request.platforms.is_some() {
            root.digest.clone()
        } else {
            single.digest
        },
        root: root.digest,
    })
}

async fn created(
    registry: &Registry,
    repository: &str,
    manifest: &RawManifest,
) -> anyhow::Result<String> {
    let manifest: oci::Manifest = serde_json::from_slice(&manifest.bytes)?;
    let config = registry.blob_bytes(repository, &manifest.config.digest);
    let config: Value = serde_json::from_slice(&config.await?).unwrap_or_default();
    let created = config["created"].as_str();
    Ok(created.unwrap_or_default().to_owned())
}
