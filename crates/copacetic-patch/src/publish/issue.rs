//! The rolling issue of what remains: one for each workflow, which is opened, rewritten and closed.

use actions_toolkit::Context;
use actions_toolkit::text::{self, Table, plural};
use anyhow::Context as _;
use github::{Client, RollingIssue};

use crate::report::{Outcomes, Subject};
use crate::request::Request;
use crate::session::Session;

/// Findings that are listed; GitHub accepts 65,536 characters.
const ROWS: usize = 200;

/// Update the issue for the images that are `done`. A shard does not: it knows its own images alone.
pub(crate) async fn update(session: &Session<'_>, Outcomes { done, failed, .. }: &Outcomes) {
    if session.request.fleet.is_some() {
        return;
    }
    let remaining = done.iter().flat_map(|image| {
        let row = |finding: &[String; 3]| row(&image.image.to_string(), finding.each_ref());
        image.remaining.iter().map(row)
    });
    let unknown: Vec<_> = failed.iter().map(|failure| &failure.subject).collect();
    write(session.ctx, &session.request, remaining.collect(), &unknown).await;
}

/// Update the issue with the rows of what remains. What remains in the `unknown` images stays open, with the rows that it had.
///
/// An issue that can't be written is logged, and changes no verdict.
pub(crate) async fn write(
    ctx: &Context,
    request: &Request,
    remaining: Vec<Row>,
    unknown: &[&Subject],
) {
    let (true, Some(token)) = (request.issue, &request.token) else {
        return;
    };
    let update = async {
        let github = ctx.github();
        let client = Client::from_context(ctx, token)?;
        let client = client.context("GITHUB_REPOSITORY is not set")?;
        let key = github.workflow_path().unwrap_or("copacetic-patch");
        let rolling = RollingIssue {
            key: format!("copacetic-patch {key}"),
            title: "Findings that no update fixes".into(),
        };
        let text = |before: Option<&str>| body(remaining, unknown, before);
        client.issues().roll(&rolling, text).await
    };
    let log = ctx.log();
    match update.await {
        Ok(Some(number)) if unknown.is_empty() => {
            log.info(format!("issue #{number} lists the remaining findings"));
        }
        Ok(Some(number)) => log.info(format!(
            "issue #{number} lists the remaining findings as far as they are known and stays open: {} could not be patched",
            plural(unknown.len(), "image")
        )),
        Ok(None) => {}
        Err(e) => log.warning(format!("{e:#}")),
    }
}

/// Image, finding, package and reason.
pub(crate) type Row = [String; 4];

/// The row of a finding that remains in `image`: its id, package and reason.
pub(crate) fn row(image: &str, [id, package, why]: [&String; 3]) -> Row {
    [
        text::code(image),
        text::markdown(id),
        text::code(package),
        text::markdown(why),
    ]
}

// The cells of a line that an earlier run wrote. A `|` in a cell has a backslash.
fn parse_row(line: &str) -> Option<Row> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<_> = cells.split(" | ").map(ToOwned::to_owned).collect();
    cells.try_into().ok()
}

// The text of the issue: the rows of the images that are done, and of the issue's text `before` those of the `unknown`
// images. `None` closes it, or opens none: nothing remains for certain, or there is no issue that would have to stay.
fn body(mut rows: Vec<Row>, unknown: &[&Subject], before: Option<&str>) -> Option<String> {
    let is_unknown = |row: &Row| {
        let image = row[0].trim_matches('`');
        unknown.iter().any(|subject| subject.covers(image))
    };
    let before_rows = before.unwrap_or_default().lines().filter_map(parse_row);
    let kept: Vec<_> = before_rows.filter(is_unknown).collect();
    if rows.is_empty() && kept.is_empty() && (unknown.is_empty() || before.is_none()) {
        return None;
    }
    let mut out = String::new();
    if !unknown.is_empty() {
        let names = unknown.iter().map(ToString::to_string);
        let names: Vec<_> = names.map(|name| text::code(&name)).collect();
        let end = if kept.is_empty() {
            ""
        } else {
            "; those listed are from an earlier run"
        };
        out.push_str(&format!(
            "The last run failed to patch {}, so the remaining findings there are unknown{end}.\n\n",
            names.join(", ")
        ));
    }
    rows.extend(kept);
    if rows.is_empty() {
        out.push_str("No other image is known to have remaining findings.\n");
        return Some(out);
    }
    let count = rows.len();
    let mut table = Table::new(["Image", "Finding", "Package", "Reason"]);
    table.extend(rows.into_iter().take(ROWS));
    out.push_str(&format!(
        "A patch does not fix these findings; the last column says why. A run without remaining findings closes this issue.\n\n{table}"
    ));
    if count > ROWS {
        out.push_str(&format!("\n… and {} more.\n", count - ROWS));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use oci::ImageRef;

    use super::*;

    fn target(image: &str) -> Subject {
        let image: ImageRef = image.parse().unwrap();
        let patched = format!("{image}-patched").parse().unwrap();
        Subject::Image {
            image,
            patched: Some(patched),
        }
    }

    fn finding(image: &str, id: &str) -> Row {
        let cells = [id, "perl", "no update fixes it"];
        row(image, cells.map(ToOwned::to_owned).each_ref())
    }

    #[test]
    fn it_is_closed_only_if_nothing_is_known_to_remain_in_any_image() {
        let (app, worker) = (target("app:1"), target("worker:1"));
        let both = [&app, &worker];
        let open = body(vec![finding("app:1", "CVE-1")], &[], None);
        let open = open.as_deref();
        assert!(open.is_some());
        // Rows of this run, images that failed, the issue's text, and whether it is closed or not opened.
        let table: [(_, &[&Subject], _, _); 6] = [
            (vec![], &[], None, true),
            (vec![], &[], open, true),
            (vec![], &both[..1], None, true),
            (vec![], &both[..1], open, false),
            (vec![], &both[1..], open, false),
            (vec![finding("worker:1", "CVE-2")], &[], open, false),
        ];
        for (rows, unknown, before, closes) in table {
            let case = format!("{rows:?}, {unknown:?}, {before:?}");
            assert_eq!(body(rows, unknown, before).is_none(), closes, "{case}");
        }
    }

    #[test]
    fn the_rows_of_an_image_that_failed_are_kept() {
        let images = ["app:1-patched", "worker:1-patched", "worker:10"];
        let rows = images.map(|image| finding(image, "CVE-1")).to_vec();
        let before = body(rows, &[], None).unwrap().replace('\n', "\r\n");
        let worker = target("worker:1");
        let now = vec![finding("app:1-patched", "CVE-2")];
        insta::assert_snapshot!(body(now, &[&worker], Some(&before)).unwrap(), @r"
        The last run failed to patch `worker:1`, so the remaining findings there are unknown; those listed are from an earlier run.

        A patch does not fix these findings; the last column says why. A run without remaining findings closes this issue.

        | Image | Finding | Package | Reason |
        |---|---|---|---|
        | `app:1-patched` | CVE-2 | `perl` | no update fixes it |
        | `worker:1-patched` | CVE-1 | `perl` | no update fixes it |
        ");
        insta::assert_snapshot!(body(vec![], &[&target("db:1")], Some(&before)).unwrap(), @r"
        The last run failed to patch `db:1`, so the remaining findings there are unknown.

        No other image is known to have remaining findings.
        ");
    }

    #[test]
    fn a_cut_list_says_how_many_rows_are_missing() {
        let rows = vec![finding("app:1", "CVE-1"); ROWS + 3];
        let text = body(rows, &[], None).unwrap();
        assert_eq!(text.matches("CVE-1").count(), ROWS);
        assert!(text.ends_with("\n… and 3 more.\n"), "{text}");
    }
}
