//! The rolling issue: one for each workflow, opened, rewritten and closed with what cannot be mended.

use actions_toolkit::text::{self, plural};
use anyhow::Context as _;
use github::{Client, RollingIssue};
use oci::ImageRef;

use crate::report::Patched;
use crate::request::Order;
use crate::session::Session;

/// Findings that are listed; GitHub takes 65,536 characters.
const ROWS: usize = 200;

/// Bring the issue up to date with the images that are `done`. What remains in one that `failed` is not known: the
/// issue stays open for it, with what it said of it before.
///
/// An issue that can't be written is told of, and changes no verdict.
pub(crate) async fn roll(
    session: &Session<'_>,
    done: &[Patched],
    failed: &[(Order, anyhow::Error)],
) {
    let ctx = session.ctx;
    let (true, Some(token)) = (session.request.issue, &session.request.token) else {
        return;
    };
    let remaining = done.iter().flat_map(|image| {
        let row = |finding: &[String; 3]| row(&image.image, finding);
        image.remaining.iter().map(row)
    });
    let unknown: Vec<_> = failed.iter().map(|(order, _)| order).collect();
    let rolled = async {
        let github = ctx.github();
        let client = Client::from_context(ctx, token)?;
        let client = client.context("GITHUB_REPOSITORY is not set")?;
        let key = github.workflow_path().unwrap_or("copacetic-patch");
        let rolling = RollingIssue {
            key: format!("copacetic-patch {key}"),
            title: "Findings that no update mends".into(),
        };
        let text = |before: Option<&str>| body(remaining.collect(), &unknown, before);
        client.issues().roll(&rolling, text).await
    };
    let log = ctx.log();
    match rolled.await {
        Ok(Some(number)) if failed.is_empty() => {
            log.info(format!("issue #{number} says what remains"));
        }
        Ok(Some(number)) => log.info(format!(
            "issue #{number} says what remains as far as it is known, and stays open: {} could not be patched",
            plural(failed.len(), "image")
        )),
        Ok(None) => {}
        Err(e) => log.warning(format!("{e:#}")),
    }
}

// How the rows of `image` begin: a later run knows them by it.
fn start(image: &ImageRef) -> String {
    format!("| {} | ", text::code(&image.to_string()))
}

fn row(image: &ImageRef, [id, package, why]: &[String; 3]) -> String {
    format!(
        "{}{} | {} | {} |",
        start(image),
        text::markdown(id),
        text::code(package),
        text::markdown(why)
    )
}

// What remains, by the rows of the images that are done and by what the issue said `before` of those where it is
// `unknown`; nothing if nothing does for certain, or if there is no issue that would have to stay.
fn body(mut rows: Vec<String>, unknown: &[&Order], before: Option<&str>) -> Option<String> {
    let names = unknown
        .iter()
        .flat_map(|order| [&order.image, &order.patched]);
    let starts: Vec<_> = names.map(start).collect();
    let is_of_them = |line: &&str| starts.iter().any(|start| line.starts_with(start));
    let kept = before.unwrap_or_default().lines().filter(is_of_them);
    let kept: Vec<_> = kept.map(ToOwned::to_owned).collect();
    if rows.is_empty() && kept.is_empty() && (unknown.is_empty() || before.is_none()) {
        return None;
    }
    let mut out = String::new();
    if !unknown.is_empty() {
        let names = unknown.iter().map(|order| order.image.to_string());
        let names: Vec<_> = names.map(|name| text::code(&name)).collect();
        let end = if kept.is_empty() {
            ""
        } else {
            "; what is listed of it was found before"
        };
        out.push_str(&format!(
            "The last run could not patch {}: what remains there is not known{end}.\n\n",
            names.join(", ")
        ));
    }
    rows.extend(kept);
    if rows.is_empty() {
        out.push_str("Nothing is known to remain elsewhere.\n");
        return Some(out);
    }
    out.push_str("No update of the distribution mends these findings yet. A run that finds nothing more closes this issue.\n\n| Image | Finding | Package | Why |\n|---|---|---|---|\n");
    for row in rows.iter().take(ROWS) {
        out.push_str(row);
        out.push('\n');
    }
    if rows.len() > ROWS {
        out.push_str(&format!("\n… and {} more.\n", rows.len() - ROWS));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(image: &str) -> Order {
        Order::new(&image.parse().unwrap(), None).unwrap()
    }

    fn found(image: &str, id: &str) -> String {
        let finding = [id, "perl", "there is no update that mends it"];
        row(&image.parse().unwrap(), &finding.map(ToOwned::to_owned))
    }

    #[test]
    fn it_is_closed_only_when_nothing_is_known_to_remain_anywhere() {
        let (app, worker) = (order("app:1"), order("worker:1"));
        let both = [&app, &worker];
        let open = body(vec![found("app:1", "CVE-1")], &[], None);
        let open = open.as_deref();
        assert!(open.is_some());
        // Rows of this run, images that failed, what the issue says now, and whether it is closed or not opened.
        let table: [(_, &[&Order], _, _); 6] = [
            (vec![], &[], None, true),
            (vec![], &[], open, true),
            (vec![], &both[..1], None, true),
            (vec![], &both[..1], open, false),
            (vec![], &both[1..], open, false),
            (vec![found("worker:1", "CVE-2")], &[], open, false),
        ];
        for (rows, unknown, before, closes) in table {
            let case = format!("{rows:?}, {unknown:?}, {before:?}");
            assert_eq!(body(rows, unknown, before).is_none(), closes, "{case}");
        }
    }

    #[test]
    fn what_was_known_of_an_image_that_failed_is_kept() {
        let images = ["app:1-patched", "worker:1-patched", "worker:10"];
        let rows = images.map(|image| found(image, "CVE-1")).to_vec();
        let before = body(rows, &[], None).unwrap().replace('\n', "\r\n");
        let worker = order("worker:1");
        let now = vec![found("app:1-patched", "CVE-2")];
        insta::assert_snapshot!(body(now, &[&worker], Some(&before)).unwrap(), @r"
        The last run could not patch `worker:1`: what remains there is not known; what is listed of it was found before.

        No update of the distribution mends these findings yet. A run that finds nothing more closes this issue.

        | Image | Finding | Package | Why |
        |---|---|---|---|
        | `app:1-patched` | CVE-2 | `perl` | there is no update that mends it |
        | `worker:1-patched` | CVE-1 | `perl` | there is no update that mends it |
        ");
        insta::assert_snapshot!(body(vec![], &[&order("db:1")], Some(&before)).unwrap(), @r"
        The last run could not patch `db:1`: what remains there is not known.

        Nothing is known to remain elsewhere.
        ");
    }

    #[test]
    fn a_long_list_says_how_much_longer_it_is() {
        let rows = vec![found("app:1", "CVE-1"); ROWS + 3];
        let text = body(rows, &[], None).unwrap();
        assert_eq!(text.matches("CVE-1").count(), ROWS);
        assert!(text.ends_with("\n… and 3 more.\n"), "{text}");
    }
}
