//! The Security tab.

use std::collections::BTreeSet;

use actions_toolkit::text::html;

use super::{Row, badge, code, page, table};
use crate::alerts::{Alert, State};
use crate::state::Repository;
use crate::uploads::Uploaded;

const RANKS: [&str; 4] = ["critical", "high", "medium", "low"];

fn rank(alert: &Alert) -> usize {
    let severity = alert.rule.severity;
    RANKS
        .iter()
        .position(|rank| Some(*rank) == severity)
        .unwrap_or(RANKS.len())
}

pub(in super::super) fn security(repository: &Repository) -> String {
    let mut alerts = repository.alerts();
    alerts
        .sort_by(|a, b| (rank(a), &a.rule.id, &a.subject).cmp(&(rank(b), &b.rule.id, &b.subject)));
    let open = alerts
        .iter()
        .filter(|alert| alert.state == State::Open)
        .count();
    let closed = alerts.len() - open;
    let mut body = format!("<p>{open} open, {closed} closed. <a href=\"/\">Index</a></p>");
    let groups: BTreeSet<_> = repository
        .analyses()
        .into_iter()
        .map(|analysis| {
            (
                analysis.upload.git_ref(),
                analysis.category(),
                analysis.tool(),
            )
        })
        .collect();
    for (git_ref, category, tool) in groups {
        let of: Vec<_> = alerts
            .iter()
            .filter(|a| (a.git_ref.as_str(), a.category(), a.tool()) == (git_ref, category, tool))
            .collect();
        body.push_str(&format!(
            "<h2>{} <small>{} · {}</small></h2>",
            html(category),
            html(git_ref),
            html(tool)
        ));
        body.push_str(&group(&of));
    }
    body.push_str(&analyses(repository));
    body.push_str(&uploads(repository));
    page("Code scanning", &body)
}

fn group(alerts: &[&Alert]) -> String {
    let of = |state: State| alerts.iter().filter(move |alert| alert.state == state);
    let counts: Vec<_> = RANKS
        .iter()
        .enumerate()
        .map(|(at, name)| {
            (
                of(State::Open).filter(|alert| rank(alert) == at).count(),
                name,
            )
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let mut body = if of(State::Open).next().is_none() {
        "<p>No open alerts.</p>".to_owned()
    } else {
        let rows: Vec<_> = of(State::Open).map(|alert| row(alert)).collect();
        format!("<p>{}</p>{}", counts.join(", "), alert_table(&rows))
    };
    for state in [State::Dismissed, State::Fixed] {
        let rows: Vec<_> = of(state).map(|alert| row(alert)).collect();
        if !rows.is_empty() {
            body.push_str(&format!(
                "<details><summary><span class=\"fixed\">{} {}</span></summary>{}</details>",
                rows.len(),
                state.name(),
                alert_table(&rows)
            ));
        }
    }
    body
}

fn alert_table(rows: &[Row]) -> String {
    table(&["Severity", "Alert", "In", "Where"], rows)
}

fn row(alert: &Alert) -> Row {
    let mut title = format!(
        "<b>{}</b> <small>#{}</small><br><small><code>{}</code> {}</small>",
        html(&alert.rule.title),
        alert.number,
        html(&alert.rule.id),
        html(&message(&alert.message)),
    );
    if let Some(dismissal) = &alert.dismissal {
        title.push_str(&format!(
            "<br><small>{} by {}: {}</small>",
            html(&dismissal.reason),
            html(&dismissal.by.login),
            html(&dismissal.comment)
        ));
    }
    Row::new([
        badge(alert.rule.severity.unwrap_or("unrated")),
        title,
        alert.subject.as_deref().map(code).unwrap_or_default(),
        code(&format!("{}:{}", alert.path, alert.lines.0)),
    ])
    .id(format!("alert-{}", alert.number))
}

// A link to another location of the result, `[text](1)` (SARIF 2.1.0, 3.11.6): its text.
fn message(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").and_then(|(text, after)| {
            let (target, after) = after.split_once(')')?;
            let is_link = !target.is_empty() && target.bytes().all(|b| b.is_ascii_digit());
            is_link.then_some((text, after))
        });
        out.push_str(before);
        if let Some((text, after)) = link {
            out.push_str(text);
            rest = after;
        } else {
            out.push('[');
            rest = after;
        }
    }
    out + rest
}

fn analyses(repository: &Repository) -> String {
    let rows: Vec<_> = repository
        .analyses()
        .into_iter()
        .rev()
        .map(|analysis| {
            Row::new([
                html(&analysis.upload.at),
                html(analysis.tool()),
                html(analysis.category()),
                code(analysis.upload.git_ref()),
                code(analysis.upload.commit().get(..7).unwrap_or_default()),
                analysis.results().len().to_string(),
            ])
        })
        .collect();
    if rows.is_empty() {
        return "<p>Nothing was uploaded yet.</p>".into();
    }
    let heads = ["When", "Tool", "Category", "Ref", "Commit", "Results"];
    format!("<h2>Analyses</h2>{}", table(&heads, &rows))
}

fn uploads(repository: &Repository) -> String {
    let refused: Vec<&Uploaded> = repository
        .uploads
        .iter()
        .filter(|u| !u.errors.is_empty())
        .collect();
    if refused.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = refused
        .iter()
        .rev()
        .map(|upload| {
            Row::new([
                html(&upload.at),
                code(upload.git_ref()),
                html(&upload.errors.join("; ")),
            ])
        })
        .collect();
    format!(
        "<h2>Uploads that were refused</h2>{}",
        table(&["When", "Ref", "Why"], &rows)
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_inside_a_file_are_their_text() {
        for (text, shown) in [
            ("see [the file](1) and [x](2).", "see the file and x."),
            ("a[0] and [docs](https://x)", "a[0] and [docs](https://x)"),
            ("[", "["),
        ] {
            assert_eq!(super::message(text), shown);
        }
    }
}
