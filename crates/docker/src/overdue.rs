//! What a run has left that was killed before its clean-up: containers, networks, volumes, and temporary names of images.
//!
//! Each of them carries the time at which its run is certainly over, a container, a network and a volume in the label
//! [`EXPIRES_LABEL`], a name in its tag. The next run of any action removes those whose time has come, and nothing else: not what belongs to a run in parallel,
//! and nothing without such a time.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptions};
use futures_util::future::join_all;
use oci::ImageRef;
use tokio::task::JoinHandle;

use crate::{Container, Docker};

/// The label of every container that is started here: when its run is over, in seconds since 1970.
pub const EXPIRES_LABEL: &str = "dev.seaworthy.expires";
/// For the removal.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For the rest of the removal, when the run is done.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// Digits of the time in a tag, until the year 2286.
const DIGITS: usize = 10;

/// The removal of what is overdue, next to the work of a run.
pub struct OverdueRemoval(JoinHandle<(usize, usize, usize)>);

impl Docker {
    /// The end of a tag for the time of the run `run`, a UUID of 32 hex digits: `<run>-<time>`.
    pub fn temporary_tag(&self, run: &str) -> String {
        format!("{run}-{}", self.expires())
    }

    /// When the current run is certainly over, in seconds since 1970.
    pub(crate) fn expires(&self) -> u64 {
        seconds(SystemTime::now() + self.lifetime)
    }

    /// Start to remove what is overdue; the run does not wait for it.
    pub fn remove_overdue(&self) -> OverdueRemoval {
        let docker = self.clone();
        OverdueRemoval(tokio::spawn(async move {
            let now = seconds(SystemTime::now());
            let removal = async {
                let containers = docker.remove_overdue_containers(now).await;
                let is_overdue = |labels: &HashMap<String, String>| {
                    let expires: Option<u64> =
                        labels.get(EXPIRES_LABEL).and_then(|time| time.parse().ok());
                    expires.is_some_and(|expires| expires < now)
                };
                let label = EXPIRES_LABEL.to_owned();
                let networks = docker.remove_networks(label.clone(), is_overdue).await;
                docker.remove_volumes(label, is_overdue).await;
                (containers, docker.remove_overdue_names(now).await, networks)
            };
            tokio::time::timeout(TIMEOUT, removal)
                .await
                .unwrap_or_default()
        }))
    }

    async fn remove_overdue_containers(&self, now: u64) -> usize {
        let filters = HashMap::from([("label", vec![EXPIRES_LABEL.to_owned()])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let containers = self.api.list_containers(Some(options)).await;
        let containers = containers.unwrap_or_default().into_iter();
        let overdue = containers.filter_map(|container| {
            let labels = container.labels.unwrap_or_default();
            let expires: u64 = labels.get(EXPIRES_LABEL)?.parse().ok()?;
            let id = container.id.filter(|_| expires < now)?;
            Some(Container {
                docker: self.clone(),
                id,
            })
        });
        let removals = overdue.map(|container| async move { container.remove().await });
        join_all(removals).await.len()
    }

    async fn remove_overdue_names(&self, now: u64) -> usize {
        let images = self.api.list_images(None::<ListImagesOptions>).await;
        let images = images.unwrap_or_default().into_iter();
        let names = images.flat_map(|image| image.repo_tags);
        let overdue = names.filter_map(|name| {
            let name: ImageRef = name.parse().ok()?;
            let expires = expires(name.tag()?)?;
            (expires < now).then_some(name)
        });
        let removals = overdue.map(|name| async move { self.untag(&name).await.is_ok() });
        let removed = join_all(removals).await;
        removed.into_iter().filter(|removed| *removed).count()
    }
}

impl OverdueRemoval {
    /// What was removed, for the log; `None` if nothing. A short run waits for the removal, but not for long, and not
    /// after `stop`.
    pub async fn finish<T>(self, stop: impl Future<Output = T>) -> Option<String> {
        let abort = self.0.abort_handle();
        let removed = tokio::select! {
            removed = tokio::time::timeout(LAST_WAIT, self.0) => removed.ok(),
            _ = stop => None,
        };
        let Some(removed) = removed else {
            abort.abort();
            return None;
        };
        let (containers, names, networks) = removed.ok()?;
        let count = |count, noun| match count {
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        (containers + names + networks > 0).then(|| {
            let networks = match networks {
                0 => String::new(),
                networks => format!(", {}", count(networks, "network")),
            };
            format!(
                "removed {}{networks} and {} of images that earlier runs had left",
                count(containers, "container"),
                count(names, "temporary name")
            )
        })
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

// The time in a temporary tag, whose other parts are the caller's: `staging-<run>-<time>-original`.
fn expires(tag: &str) -> Option<u64> {
    let parts: Vec<_> = tag.split('-').collect();
    parts.windows(2).find_map(|pair| {
        let is_run = pair[0].len() == 32 && pair[0].bytes().all(|b| b.is_ascii_hexdigit());
        let is_time = pair[1].len() == DIGITS && pair[1].bytes().all(|b| b.is_ascii_digit());
        (is_run && is_time).then(|| pair[1].parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use testkit::FakeDocker;

    use super::*;

    const RUN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_a_temporary_tag_has_a_time() {
        let table = [
            (format!("{RUN}-1700000000"), Some(1_700_000_000)),
            (
                format!("staging-{RUN}-1700000000-original"),
                Some(1_700_000_000),
            ),
            (format!("{RUN}-170000000"), None),
            (RUN.to_owned(), None),
            ("1.0-1700000000".to_owned(), None),
            (format!("{}-1700000000", &RUN[1..]), None),
            ("latest".to_owned(), None),
        ];
        for (tag, time) in table {
            assert_eq!(expires(&tag), time, "{tag}");
        }
    }

    #[tokio::test]
    async fn what_is_overdue_is_removed_and_nothing_else() {
        let now = seconds(SystemTime::now());
        let (past, future) = (now - 60, now + 600);
        let container =
            |id: &str, label: &str| format!(r#"{{"Id": "{id}", "Labels": {{{label}}}}}"#);
        let expires =
            |time: &str| format!(r#""{EXPIRES_LABEL}": "{time}", "dev.seaworthy.run": "r""#);
        let containers = [
            container("overdue", &expires(&past.to_string())),
            container("running", &expires(&future.to_string())),
            container("unreadable", &expires("soon")),
            container("a-run-without-a-time", r#""dev.seaworthy.run": "r""#),
            container("a-strangers", ""),
        ];
        let image = |tags: &[&str]| {
            let tags = serde_json::json!(tags);
            format!(
                r#"{{"Id": "sha256:0", "ParentId": "", "RepoTags": {tags}, "RepoDigests": [], "Created": 0, "Size": 0, "SharedSize": 0, "Labels": {{}}, "Containers": -1}}"#
            )
        };
        let images = [
            image(&["app:1", &format!("app:staging-{RUN}-{past}")]),
            image(&[
                &format!("app:staging-{RUN}-{future}"),
                &format!("app:{RUN}"),
            ]),
            image(&[]),
        ];
        let fake = FakeDocker::with("app:1")
            .containers(&format!("[{}]", containers.join(",")))
            .images(&format!("[{}]", images.join(",")));
        let docker = Docker::connect(Some(&fake.host())).await.unwrap();
        let removal = docker.remove_overdue();
        let never = std::future::pending::<()>();
        assert_eq!(
            removal.finish(never).await.as_deref(),
            Some("removed 1 container and 1 temporary name of images that earlier runs had left")
        );
        let removed: Vec<_> = fake
            .requests()
            .into_iter()
            .filter_map(|request| request.strip_prefix("DELETE ").map(ToOwned::to_owned))
            .collect();
        let image = format!("/images/app:staging-{RUN}-{past}");
        assert_eq!(
            removed,
            ["/containers/overdue?v=true&force=true&link=false", &image]
        );
    }

    #[tokio::test]
    async fn a_stopped_run_does_not_wait_for_the_removal() {
        let fake = FakeDocker::with("app:1");
        let docker = Docker::connect(Some(&fake.host())).await.unwrap();
        assert_eq!(docker.remove_overdue().finish(async {}).await, None);
    }
}
