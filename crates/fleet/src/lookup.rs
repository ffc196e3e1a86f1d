//! Which images of a registry have changed.

use std::collections::HashMap;

use actions_toolkit::Context;
use futures_util::{StreamExt as _, stream};
use oci::{Digest, ImageRef, Registry};

use crate::{Entry, Fleet, Previous};

/// Tags that are looked up at the same time.
const LOOKUPS: usize = 8;

/// What the tags of a registry refer to, compared with the last run.
pub struct Lookup {
    /// Of images that have not changed.
    pub unchanged: Vec<Entry>,
    /// The others.
    pub changed: Vec<ImageRef>,
    digests: HashMap<String, Digest>,
}

impl Lookup {
    /// Look up `images`, which `registry` has: one request each, without their manifests. `once` is whether one result is for every tag
    /// of a digest in a repository.
    pub async fn new(
        ctx: &Context,
        fleet: &Fleet,
        registry: &Registry,
        images: Vec<ImageRef>,
        once: bool,
    ) -> Self {
        let previous = Previous::read(ctx, fleet);
        let images = digests(registry, images).await;
        let known = images
            .iter()
            .filter_map(|(image, digest)| Some((image.to_string(), digest.clone()?)));
        let digests = known.collect();
        let (unchanged, changed) = previous.split(images, once);
        Self {
            unchanged,
            changed,
            digests,
        }
    }

    /// The images that have not changed, with the time when they were made: RFC 3339, where that decides.
    pub fn dates(&self) -> Vec<(ImageRef, String)> {
        let images = self.unchanged.iter();
        let images = images.filter(|entry| entry.result != "skipped");
        let date = |entry: &Entry| Some((entry.image.parse().ok()?, entry.created.clone()));
        images.filter_map(date).collect()
    }

    /// What the tag `image` refers to.
    pub fn digest(&self, image: &ImageRef) -> Option<String> {
        let digest = self.digests.get(&image.to_string())?;
        Some(digest.to_string())
    }

    /// The entry of an image that is not done because it `is` so, as what follows its name in a sentence; `is_lasting` is whether that
    /// is so as long as the image does not change.
    pub fn skipped(&self, image: &ImageRef, is: &str, is_lasting: bool) -> Entry {
        let (image, reason) = (image.to_string(), format!("it {is}"));
        if is_lasting {
            self.because(&image, "skipped", reason)
        } else {
            Entry::because(&image, "skipped", reason)
        }
    }

    /// The entry of an image that is not done, or could not be, for `reason`: by its digest, it has not changed tomorrow.
    pub fn because(&self, image: &str, result: &str, reason: String) -> Entry {
        let digest = self.digests.get(image);
        Entry {
            digest: digest.map(ToString::to_string).unwrap_or_default(),
            ..Entry::because(image, result, reason)
        }
    }
}

// `None` where the registry does not say.
async fn digests(registry: &Registry, images: Vec<ImageRef>) -> Vec<(ImageRef, Option<Digest>)> {
    let lookups = stream::iter(images).map(async |image| {
        let digest = registry.digest(image.repository(), image.reference());
        // One that can't be looked up is not known: to read it fails too, and says why.
        let digest = digest.await.ok().flatten();
        (image, digest)
    });
    lookups.buffered(LOOKUPS).collect().await
}
