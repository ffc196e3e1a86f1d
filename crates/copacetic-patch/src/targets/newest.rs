//! The newest images of each repository.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::str::FromStr as _;
use std::time::Duration;

use jiff::Timestamp;
use oci::ImageRef;
use pep440_rs::Version;

use super::Targets;
use crate::request::Filter;

/// Skip the images that are too old, and those beyond the newest ones of their repository.
///
/// Tags that are versions are ordered as such, the others by the date of creation of the image; of each kind, the same
/// number is kept.
pub(super) fn keep(filter: &Filter, targets: &mut Targets) {
    let mut left_out: HashMap<ImageRef, &str> = HashMap::new();
    let patches = std::mem::take(&mut targets.patches);
    if let Some(age) = filter.max_age {
        let now = Timestamp::now();
        for (target, found) in &patches {
            if is_older(found.created(), age, now) {
                left_out.insert(target.image.clone(), "is older than `max-image-age`");
            }
        }
    }
    if let Some(count) = filter.newest {
        let mut newest: Vec<_> = patches.iter().collect();
        newest.retain(|(target, _)| !left_out.contains_key(&target.image));
        newest.sort_by_cached_key(|(target, found)| {
            Reverse((version(&target.image), created(found.created())))
        });
        let mut kept: HashMap<_, usize> = HashMap::new();
        for (target, _) in newest {
            let image = &target.image;
            let kept = kept
                .entry((image.without_version(), version(image).is_some()))
                .or_default();
            *kept += 1;
            if *kept > count {
                let reason = "is not among the `newest-tags` of its repository";
                left_out.insert(image.clone(), reason);
            }
        }
    }
    for (target, found) in patches {
        match left_out.get(&target.image) {
            Some(reason) => targets.skip(&target.image, reason),
            None => targets.patches.push((target, found)),
        }
    }
}

fn version(image: &ImageRef) -> Option<Version> {
    Version::from_str(image.tag()?).ok()
}

fn created(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

// An image without a date, or with that of a reproducible build, is of any age.
fn is_older(text: &str, age: Duration, now: Timestamp) -> bool {
    let Some(created) = created(text).filter(|created| created.as_second() > 0) else {
        return false;
    };
    now.duration_since(created).unsigned_abs() > age && created < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_ordered_as_one() {
        let mut tags = ["1.9", "latest", "v1.10", "1.10.1", "2.0-rc1", "main"];
        tags.sort_by_cached_key(|tag| Reverse(version(&format!("app:{tag}").parse().unwrap())));
        assert_eq!(
            tags,
            ["2.0-rc1", "1.10.1", "v1.10", "1.9", "latest", "main"]
        );
    }

    #[test]
    fn an_image_without_a_date_is_not_old() {
        let now: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let day = Duration::from_hours(24);
        for (created, expected) in [
            ("2026-11-27T23:59:59Z", true),
            ("2026-11-28T00:00:01.5Z", false),
            ("2027-01-01T00:00:00Z", false),
            ("1970-01-01T00:00:00Z", false),
            ("0001-01-01T00:00:00Z", false),
            ("", false),
        ] {
            assert_eq!(is_older(created, day, now), expected, "{created}");
        }
    }
}
