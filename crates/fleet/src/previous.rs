//! The results of the last run, by which an image has not changed.

use std::collections::HashMap;
use std::time::Duration;

use actions_toolkit::Context;
use jiff::Timestamp;
use oci::{Digest, ImageRef};
use serde::{Deserialize, Serialize};

use crate::part::Fleet;
use crate::{Entry, LIMIT, VERSION};

/// The results of a run, in the file `results.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) version: u32,
    pub(crate) action: String,
    pub(crate) settings: String,
    /// By name.
    pub(crate) images: Vec<Entry>,
}

/// The results of the last run.
#[derive(Debug, Default)]
pub(crate) struct Previous {
    entries: HashMap<String, Entry>,
    max_age: Duration,
    is_of_a_day: bool,
    now: Timestamp,
}

impl Previous {
    /// Read what the last run left, if it was made with the same settings. Otherwise, and without a readable file, everything
    /// has changed.
    pub(crate) fn read(ctx: &Context, fleet: &Fleet) -> Self {
        let file = fleet.place.results_file();
        let name = file.relative();
        if !file.absolute().exists() {
            let note = format!("there is no `{name}` of an earlier run: every image is done");
            ctx.log().info(note);
            return Self::default();
        }
        let results = file.read(LIMIT).map_err(|e| e.to_string());
        match results.and_then(|text| parse(&text, fleet.place.action, &fleet.settings)) {
            Ok(images) => Self {
                is_of_a_day: fleet.is_of_a_day,
                ..Self::new(images, fleet.max_age, Timestamp::now())
            },
            Err(why) => {
                ctx.log()
                    .warning(format!("`{name}` {why}: every image is done"));
                Self::default()
            }
        }
    }

    fn new(entries: Vec<Entry>, max_age: Duration, now: Timestamp) -> Self {
        let entries = entries.into_iter();
        Self {
            entries: entries.map(|entry| (entry.image.clone(), entry)).collect(),
            max_age,
            is_of_a_day: false,
            now,
        }
    }

    /// The results of those of `images` that have not changed, and the others. Where one result is for every tag of a digest,
    /// `once` for each, another tag of an unchanged image has not changed either.
    pub(crate) fn split(
        mut self,
        images: Vec<(ImageRef, Option<Digest>)>,
        once: bool,
    ) -> (Vec<Entry>, Vec<ImageRef>) {
        let mut unchanged = Vec::new();
        let mut by_digest = HashMap::new();
        let mut others = Vec::new();
        for (image, digest) in images {
            let known = self.entries.remove(&image.to_string());
            let known = known.filter(|entry| self.holds(entry, digest.as_ref()));
            match (known, digest) {
                (Some(mut entry), Some(digest)) => {
                    entry.also.clear();
                    by_digest.insert((image.repository().to_owned(), digest), unchanged.len());
                    unchanged.push(entry);
                }
                (_, digest) => others.push((image, digest)),
            }
        }
        let mut changed = Vec::new();
        for (image, digest) in others {
            let twin = digest
                .filter(|_| once)
                .and_then(|digest| by_digest.get(&(image.repository().to_owned(), digest)))
                .and_then(|index| unchanged.get_mut(*index))
                .filter(|entry| entry.result != "skipped");
            match (twin, image.tag()) {
                (Some(entry), Some(tag)) => entry.also.push(tag.to_owned()),
                _ => changed.push(image),
            }
        }
        (unchanged, changed)
    }

    fn holds(&self, entry: &Entry, digest: Option<&Digest>) -> bool {
        let is_same = digest.is_some_and(|digest| digest.as_str() == entry.digest);
        let Ok(time) = entry.time.parse::<Timestamp>() else {
            return false;
        };
        // A time in the future is not one.
        let age = Duration::try_from(self.now.duration_since(time));
        let is_young = age.is_ok_and(|age| age < self.due(&entry.digest));
        let day = |time: Timestamp| time.strftime("%F").to_string();
        let is_current = !self.is_of_a_day || day(time) == day(self.now);
        entry.is_done() && is_same && is_young && is_current
    }

    // From half the age to all of it, by the digest: what was done in one night is not due in one night.
    fn due(&self, digest: &str) -> Duration {
        let byte = digest
            .get(7..9)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let earlier = self.max_age / 512 * byte.unwrap_or(0);
        self.max_age.saturating_sub(earlier)
    }
}

// Why the results are not used follows the name of the file in a sentence.
pub(crate) fn parse(text: &str, action: &str, settings: &str) -> Result<Vec<Entry>, String> {
    let results: Results =
        serde_json::from_str(text).map_err(|e| format!("is not a file of results ({e})"))?;
    if results.version != VERSION || results.action != action {
        return Err(format!("is not of this version of `{action}`"));
    }
    if results.settings != settings {
        return Err("was made with other inputs".to_owned());
    }
    Ok(results.images)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(name: &str) -> ImageRef {
        format!("r.example/{name}").parse().unwrap()
    }

    fn entry(name: &str, content: &str, result: &str, time: &str) -> Entry {
        Entry {
            digest: Digest::sha256(content.as_bytes()).to_string(),
            time: time.to_owned(),
            ..Entry::new(&image(name).to_string(), result)
        }
    }

    fn previous(entries: Vec<Entry>) -> Previous {
        let now = "2026-11-29T00:00:00Z".parse().unwrap();
        Previous::new(entries, Duration::from_secs(7 * 24 * 3600), now)
    }

    fn names(images: &[ImageRef]) -> Vec<String> {
        images.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_done_and_has_the_same_digest_has_not_changed() {
        let yesterday = "2026-11-28T01:00:00Z";
        let last = vec![
            entry("same:1", "a", "passed", yesterday),
            entry("moved:1", "a", "passed", yesterday),
            entry("red:1", "a", "failed", yesterday),
            entry("broken:1", "a", "error", yesterday),
            entry("chart:1", "a", "skipped", yesterday),
            entry("old:1", "a", "passed", "2026-11-20T00:00:00Z"),
            entry("future:1", "a", "passed", "2026-12-20T00:00:00Z"),
            entry("odd:1", "a", "passed", "yesterday"),
            entry("gone:1", "a", "passed", yesterday),
        ];
        let now = [
            ("same:1", Some("a")),
            ("moved:1", Some("b")),
            ("red:1", Some("a")),
            ("broken:1", Some("a")),
            ("chart:1", Some("a")),
            ("old:1", Some("a")),
            ("future:1", Some("a")),
            ("odd:1", Some("a")),
            ("new:1", Some("a")),
            ("hidden:1", None),
        ];
        let now = now.map(|(name, content)| {
            let digest = content.map(|content| Digest::sha256(content.as_bytes()));
            (image(name), digest)
        });
        let (unchanged, changed) = previous(last).split(now.to_vec(), true);
        let unchanged: Vec<_> = unchanged.iter().map(|entry| &entry.image).collect();
        assert_eq!(unchanged, ["r.example/same:1", "r.example/chart:1"]);
        let expected = [
            "moved:1", "red:1", "broken:1", "old:1", "future:1", "odd:1", "new:1", "hidden:1",
        ];
        assert_eq!(
            names(&changed),
            expected.map(|name| format!("r.example/{name}"))
        );
    }

    #[test]
    fn where_something_ends_with_a_day_only_the_results_of_today_are_used() {
        let last = |is_of_a_day| Previous {
            is_of_a_day,
            ..previous(vec![
                entry("today:1", "a", "passed", "2026-11-29T00:00:00Z"),
                entry("yesterday:1", "a", "passed", "2026-11-28T23:59:59Z"),
            ])
        };
        let a = Some(Digest::sha256(b"a"));
        let images = ["today:1", "yesterday:1"].map(|name| (image(name), a.clone()));
        let (unchanged, _) = last(false).split(images.to_vec(), true);
        assert_eq!(unchanged.len(), 2);
        let (unchanged, changed) = last(true).split(images.to_vec(), true);
        assert_eq!(unchanged[0].image, "r.example/today:1");
        assert_eq!(names(&changed), ["r.example/yesterday:1"]);
    }

    #[test]
    fn another_tag_of_an_unchanged_image_is_done_only_where_each_tag_has_its_result() {
        let last = || {
            let mut entry = entry("app:1", "a", "passed", "2026-11-28T01:00:00Z");
            entry.also = vec!["old".to_owned()];
            previous(vec![entry])
        };
        let a = Some(Digest::sha256(b"a"));
        let images = ["app:1", "app:latest", "other:1"].map(|name| (image(name), a.clone()));
        let (unchanged, changed) = last().split(images.to_vec(), true);
        assert_eq!(unchanged[0].also, ["latest"]);
        assert_eq!(names(&changed), ["r.example/other:1"]);
        let (_, changed) = last().split(images.to_vec(), false);
        assert_eq!(
            names(&changed),
            ["r.example/app:latest", "r.example/other:1"]
        );
    }

    proptest! {
        #[test]
        fn an_image_is_due_between_half_the_age_and_all_of_it(content in any::<u64>(), days in 1..400_u64) {
            let max_age = Duration::from_secs(days * 24 * 3600);
            let due = Previous::new(Vec::new(), max_age, Timestamp::UNIX_EPOCH)
                .due(Digest::sha256(&content.to_be_bytes()).as_str());
            prop_assert!(max_age / 2 <= due && due <= max_age);
        }
    }
}
