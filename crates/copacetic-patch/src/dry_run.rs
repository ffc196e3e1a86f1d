//! What a run would do: the images and packages that would be patched, and the tags that they would get.

use std::fmt::Write as _;

use actions_toolkit::text::{self, Table, plural};
use actions_toolkit::{Done, Log};
use futures_util::stream::{self, StreamExt as _};
use oci::Platform;
use serde_json::{Value, json};

use crate::assessment::Assessment;
use crate::index_patch::IndexPatch;
use crate::patch::Update;
use crate::publish::tags;
use crate::report::{self, Failure, Subject};
use crate::request::Target;
use crate::session::Session;
use crate::targets::{Found, ImagePatch, Targets};
use crate::{Lines, log_end, unsupported};

/// Packages of one image that the summary shows.
const SHOWN: usize = 40;

/// What would become of an image, or of an index.
struct Planned {
    target: Target,
    /// The tag that never moves, of an image that would be pushed.
    incremental: Option<String>,
    /// The image, or each one of an index.
    parts: Vec<Part>,
}

/// What an image needs.
struct Part {
    /// Of an image of an index.
    platform: Option<Platform>,
    updates: Vec<Update>,
    /// Why there are no updates.
    reason: Option<String>,
}

/// Assess the images of `targets`, and show what would be done: nothing is patched, pushed or reported to GitHub.
///
/// # Errors
/// When an image can't be read or scanned, or the file of the results can't be written.
pub(crate) async fn run(session: &Session<'_>, targets: Targets) -> anyhow::Result<Done> {
    let count = targets.patches.len();
    let (mut failed, mut skipped) = (targets.failed, targets.skipped);
    // The error of a single image is the step's.
    let is_only = count == 1 && failed.is_empty();
    let numbered = targets.patches.into_iter().enumerate();
    let work = stream::iter(numbered).map(async |(index, (target, found))| {
        let number = (count > 1).then_some(index + 1);
        let subject = Subject::from(&target);
        let listed = (!session.request.targets.contains(&target)).then(|| target.image.clone());
        let lines = Lines::of(session, &subject, number);
        let log = lines.log();
        let planned = Box::pin(Planned::of(session, target, number, found, &log)).await;
        let skipped = listed.and_then(|image| unsupported(image, &planned));
        if let Ok(planned) = &planned {
            planned.log(&log);
        }
        let error = planned.as_ref().err().filter(|_| !is_only);
        log_end(&log, &subject, error, skipped.as_ref());
        (index, subject, planned, skipped)
    });
    let work = work.buffer_unordered(session.request.concurrency);
    let mut finished: Vec<_> = tokio::select! {
        finished = work.collect() => finished,
        cancelled = session.ctx.cancelled() => return Err(cancelled.into()),
    };
    finished.sort_unstable_by_key(|(index, ..)| *index);
    let mut all = Vec::new();
    for (_, subject, planned, unsupported) in finished {
        match (planned, unsupported) {
            (_, Some(unsupported)) => skipped.push(unsupported),
            (Ok(planned), None) => all.push(planned),
            (Err(error), None) if is_only => return Err(error),
            (Err(error), None) => failed.push(Failure { subject, error }),
        }
    }
    session.ctx.summary(markdown(&all, &failed));
    if !skipped.is_empty() {
        session.ctx.summary(report::skipped(&skipped));
    }
    if let Some(file) = &session.request.results_file {
        let entries = all.iter().map(Planned::json);
        let entries = entries.chain(report::without_report(&failed, &skipped));
        file.write(&serde_json::to_vec_pretty(&entries.collect::<Vec<_>>())?)?;
    }
    report::check("assess", &failed, all.len() + failed.len())?;
    Ok(Done("planned"))
}

impl Planned {
    async fn of(
        session: &Session<'_>,
        target: Target,
        number: Option<usize>,
        found: Found,
        log: &Log,
    ) -> anyhow::Result<Self> {
        let parts = match found {
            Found::Image(found) => {
                let (target, log) = (target.clone(), log.clone());
                let patch = ImagePatch::new(session, target, number, *found, None, log);
                let part = Box::pin(Part::of(&patch)).await;
                patch.clean_up(part.is_ok()).await;
                vec![part?]
            }
            Found::Index(found) => {
                let (target, log) = (target.clone(), log.clone());
                let patch = IndexPatch::new(session, target, number, found, log);
                let parts = Box::pin(Part::all(&patch)).await;
                for image in patch.images() {
                    image.clean_up(parts.is_ok()).await;
                }
                parts?
            }
        };
        let mut planned = Self {
            target,
            incremental: None,
            parts,
        };
        if planned.is_patched() && session.request.pushes() {
            let patched = &planned.target.patched;
            let registry = session.destination(patched).await?;
            planned.incremental = Some(tags::free(&registry, patched).await?);
        }
        Ok(planned)
    }

    fn is_patched(&self) -> bool {
        self.parts.iter().any(|part| !part.updates.is_empty())
    }

    fn log(&self, log: &Log) {
        let Target { image, patched } = &self.target;
        if self.is_patched() {
            let incremental = self.incremental.as_ref();
            let and = incremental.map_or_else(String::new, |tag| format!(" and {tag}"));
            log.info(format!("{image} would be patched as {patched}{and}"));
        } else {
            log.info(format!("{image} would not be patched"));
        }
        for part in &self.parts {
            let of = part.platform.as_ref();
            let of = of.map_or_else(String::new, |platform| format!("{platform}: "));
            for update in &part.updates {
                log.info(format!("  {of}{update}"));
            }
            if let Some(reason) = &part.reason {
                log.info(format!("  {of}{reason}"));
            }
        }
    }

    // As `results-file` has it.
    fn json(&self) -> Value {
        let tag = self.target.patched.tag().filter(|_| self.is_patched());
        let parts = self.parts.iter().map(|part| {
            let updates = part.updates.iter().map(|update| {
                json!({"package": update.package, "installed": update.installed, "fixed": update.fixed, "findings": update.findings})
            });
            json!({
                "platform": part.platform.as_ref().map(ToString::to_string),
                "reason": part.reason,
                "packages": updates.collect::<Vec<_>>(),
            })
        });
        json!({
            "original": self.target.image.to_string(),
            "result": if self.is_patched() { "planned" } else { "up-to-date" },
            "patched-tag": tag,
            "incremental-tag": self.incremental,
            "images": parts.collect::<Vec<_>>(),
        })
    }
}

impl Part {
    async fn of(patch: &ImagePatch<'_, '_>) -> anyhow::Result<Self> {
        let patched = &patch.target.patched;
        let (updates, reason) = match Assessment::of(patch).await? {
            Assessment::Fixable(fixable) => (fixable.plan().updates(), None),
            Assessment::Current(_) => (Vec::new(), Some(format!("{patched} has every update"))),
            Assessment::UpToDate(_) => {
                let is_moved = patch.session.request.pushes() && patch.target.is_moved();
                let follows = is_moved || patch.has_outdated_patch().await?;
                let reason = if follows {
                    format!("no update fixes a finding; {patched} would be the image itself")
                } else {
                    "no update fixes a finding".to_owned()
                };
                (Vec::new(), Some(reason))
            }
        };
        Ok(Self {
            platform: None,
            updates,
            reason,
        })
    }

    // Those of an index. One that can't be assessed stays as it is, if the inputs allow that.
    async fn all(patch: &IndexPatch<'_, '_>) -> anyhow::Result<Vec<Self>> {
        let mut parts = Vec::new();
        for image in patch.images() {
            let platform = image.platform.clone();
            let part = match Self::of(image).await {
                Err(error) if patch.session.request.platforms.may_be_partial => Self {
                    platform: None,
                    updates: Vec::new(),
                    reason: Some(format!("it would stay as it is: {error:#}")),
                },
                Err(error) => return Err(error.context(platform.to_string())),
                Ok(part) => part,
            };
            parts.push(Self {
                platform: Some(platform),
                ..part
            });
        }
        Ok(parts)
    }
}

fn markdown(all: &[Planned], failed: &[Failure]) -> String {
    let count = all.iter().filter(|planned| planned.is_patched()).count();
    let mut out = format!(
        "## 🔎 Dry run: {} would be patched\n\n",
        plural(count, "image")
    );
    for planned in all {
        let Target { image, patched } = &planned.target;
        let _ = write!(out, "### {}", text::code(&image.to_string()));
        if planned.is_patched() {
            let _ = write!(out, " → {}", text::code(&patched.to_string()));
        }
        if let Some(incremental) = &planned.incremental {
            let _ = write!(out, ", {}", text::code(incremental));
        }
        out.push_str("\n\n");
        for part in &planned.parts {
            section(&mut out, part);
        }
    }
    for Failure { subject, error } in failed {
        let _ = write!(
            out,
            "### ❌ {}\n\n{}\n",
            text::code(&subject.to_string()),
            text::code_block(&format!("{error:#}"))
        );
    }
    out
}

fn section(out: &mut String, part: &Part) {
    if let Some(platform) = &part.platform {
        let _ = writeln!(out, "{}\n", text::code(&platform.to_string()));
    }
    if let Some(reason) = &part.reason {
        let _ = writeln!(out, "{}\n", text::markdown(reason));
    }
    if part.updates.is_empty() {
        return;
    }
    let mut table = Table::new(["Package", "Installed", "Fixed", "Findings"]).numbers([3]);
    table.extend(part.updates.iter().take(SHOWN).map(|update| {
        [
            text::code(&update.package),
            text::markdown(&update.installed),
            text::markdown(&update.fixed.join(", ")),
            update.findings.to_string(),
        ]
    }));
    let _ = writeln!(out, "{table}");
    if part.updates.len() > SHOWN {
        let _ = writeln!(out, "… and {} more.\n", part.updates.len() - SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(image: &str, updates: &[(&str, &str, &[&str])], reason: Option<&str>) -> Planned {
        let updates = updates.iter().map(|(package, installed, fixed)| Update {
            package: (*package).to_owned(),
            installed: (*installed).to_owned(),
            fixed: fixed.iter().map(|&version| version.to_owned()).collect(),
            findings: fixed.len(),
        });
        Planned {
            target: Target {
                image: image.parse().unwrap(),
                patched: format!("{image}-patched").parse().unwrap(),
            },
            incremental: reason.is_none().then(|| "1-patched-3".to_owned()),
            parts: vec![Part {
                platform: None,
                updates: updates.collect(),
                reason: reason.map(ToOwned::to_owned),
            }],
        }
    }

    #[test]
    fn the_summary_of_a_dry_run() {
        let all = [
            planned("ghcr.io/app:1", &[("perl", "5", &["6", "7"])], None),
            planned("ghcr.io/db:1", &[], Some("no update fixes a finding")),
        ];
        let failed = [Failure {
            subject: Subject::Repository("ghcr.io/other".to_owned()),
            error: anyhow::anyhow!("failed to list its tags"),
        }];
        insta::assert_snapshot!(markdown(&all, &failed).trim_end(), @r"
        ## 🔎 Dry run: 1 image would be patched

        ### `ghcr.io/app:1` → `ghcr.io/app:1-patched`, `1-patched-3`

        | Package | Installed | Fixed | Findings |
        |---|---|---|--:|
        | `perl` | 5 | 6, 7 | 2 |

        ### `ghcr.io/db:1`

        no update fixes a finding

        ### ❌ `ghcr.io/other`

        ```text
        failed to list its tags
        ```
        ");
    }
}
