//! Pages for a person: what landed here.

use actions_toolkit::text::html;

use super::state::Repository;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1f2328, #e6edf3); --quiet: light-dark(#59636e, #9198a1);
  --paper: light-dark(#ffffff, #0d1117); --line: light-dark(#d1d9e0, #3d444d); --card: light-dark(#f6f8fa, #151b23); }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } a { color: inherit }
p, small { color: var(--quiet) }
table { border: 1px solid var(--line); border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid var(--line); padding: .45rem .7rem; text-align: left; vertical-align: top }
th { background: var(--card); font-weight: 600 } code { font: .9em ui-monospace, monospace }
.badge { border: 1px solid; border-radius: 99px; font-size: .8rem; padding: 0 .55rem; white-space: nowrap }
.critical { color: light-dark(#a40e26, #ff7b72) } .high { color: light-dark(#bc4c00, #ffa657) }
.medium { color: light-dark(#9a6700, #d29922) } .low, .none { color: var(--quiet) } .fixed { color: light-dark(#1a7f37, #3fb950) }
";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style><h1>{0}</h1>{body}</html>\n",
        html(title)
    )
}

pub(super) fn home(repository: &Repository) -> String {
    let mut body = format!(
        "<p>A stand-in for GitHub: what the workflows told it.</p><ul><li><a href=\"/security\">Security tab</a>: {} uploads</li><li>{} comments</li><li>{} issues</li><li>{} deployments</li></ul>",
        repository.uploads.len(),
        repository.comments.len(),
        repository.issues.len(),
        repository.deployments.len(),
    );
    for comment in &repository.comments {
        body.push_str(&format!(
            "<h2>Comment</h2><pre>{}</pre>",
            html(comment["body"].as_str().unwrap_or_default())
        ));
    }
    page("GitHub, locally", &body)
}

pub(super) fn security(repository: &Repository) -> String {
    let alerts = repository.alerts();
    let mut groups: Vec<_> = alerts
        .iter()
        .map(|alert| (&alert.git_ref, &alert.category))
        .collect();
    groups.sort();
    groups.dedup();
    let open = alerts.iter().filter(|alert| alert.state == "open").count();
    let mut body = format!("<p>{open} open, {} closed.</p>", alerts.len() - open);
    for (git_ref, category) in groups {
        body.push_str(&format!(
            "<h2>{} <small>{}</small></h2><table><tr><th>Severity<th>Alert<th>Where<th>State</tr>",
            html(category),
            html(git_ref)
        ));
        let mut rows: Vec<_> = alerts
            .iter()
            .filter(|alert| (&alert.git_ref, &alert.category) == (git_ref, category))
            .collect();
        let rank = |severity: &str| {
            ["critical", "high", "medium", "low", "none"]
                .iter()
                .position(|s| *s == severity)
        };
        rows.sort_by_key(|alert| (alert.state != "open", rank(&alert.severity), &alert.rule));
        for alert in rows {
            body.push_str(&format!(
                "<tr><td><span class=\"badge {0}\">{0}</span><td><b>{1}</b><br><small><code>{2}</code> {3}</small><td><code>{4}:{5}</code><td class=\"{6}\">{6}</tr>",
                alert.severity, html(&alert.title), html(&alert.rule), html(&alert.message), html(&alert.path), alert.line, alert.state,
            ));
        }
        body.push_str("</table>");
    }
    body.push_str("<h2>Uploads</h2><table><tr><th>When<th>Ref<th>Commit<th>Outcome</tr>");
    for upload in repository.uploads.iter().rev() {
        let text = |name: &str| html(upload.request[name].as_str().unwrap_or_default());
        let outcome = if upload.errors.is_empty() {
            "complete".to_owned()
        } else {
            html(&upload.errors.join("; "))
        };
        body.push_str(&format!(
            "<tr><td>{}<td><code>{}</code><td><code>{}</code><td>{outcome}</tr>",
            html(&upload.at),
            text("ref"),
            text("commit_sha")
        ));
    }
    body.push_str("</table>");
    page("Code scanning", &body)
}
