//! The newest images of each repository.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::str::FromStr as _;
use std::time::Duration;

use jiff::Timestamp;
use oci::ImageRef;
use pep440_rs::Version;

use super::Selection;

impl Selection {
    /// The images that are too old, and those beyond the newest ones of their repository, each with the reason, which follows the name
    /// in a sentence. `images` have the time of their creation, RFC 3339.
    ///
    /// Tags that are versions are ordered as such, the others by the date of creation of the image; of each kind, the same
    /// number is kept.
    pub fn left_out<'i>(
        &self,
        images: &[(&'i ImageRef, &str)],
    ) -> HashMap<&'i ImageRef, &'static str> {
        let mut left_out = HashMap::new();
        if let Some(age) = self.max_age {
            let now = Timestamp::now();
            for (image, date) in images {
                if is_older(date, age, now) {
                    left_out.insert(*image, "is older than `max-image-age`");
                }
            }
        }
        let Some(count) = self.newest else {
            return left_out;
        };
        let mut newest: Vec<_> = images.iter().collect();
        newest.retain(|(image, _)| !left_out.contains_key(image));
        newest.sort_by_cached_key(|(image, date)| Reverse((version(image), created(date))));
        let mut kept: HashMap<_, usize> = HashMap::new();
        for (image, _) in newest {
            let kept = kept
                .entry((image.without_version(), version(image).is_some()))
                .or_default();
            *kept += 1;
            if *kept > count {
                let reason = "is not among the `newest-tags` of its repository";
                left_out.insert(*image, reason);
            }
        }
        left_out
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
