//! The index.

use actions_toolkit::text::html;

use super::{Row, badge, code, link, page, table};
use crate::state::Repository;

pub(in super::super) fn home(repository: &Repository) -> String {
    let counts = [
        ("Uploads", repository.uploads.len()),
        ("Comments", repository.comments.len()),
        ("Issues", repository.issues.len()),
        ("Deployments", repository.deployments.len()),
        ("Snapshots", repository.snapshots.len()),
    ];
    let mut body = "<p>A fake of GitHub: what the workflows sent. <a href=\"/security\">Security tab</a></p><dl>".to_owned();
    for (name, count) in counts {
        body.push_str(&format!("<div><dt>{name}<dd>{count}</div>"));
    }
    body.push_str("</dl>");
    for part in [
        deployments(repository),
        issues(repository),
        comments(repository),
    ] {
        body.push_str(&part);
    }
    page("GitHub, locally", &body)
}

fn deployments(repository: &Repository) -> String {
    if repository.deployments.is_empty() {
        return String::new();
    }
    let row = |deployment: &super::super::deployments::Deployment| {
        let last = deployment.statuses.last().map(|status| &status.request);
        let state = last.map_or("queued", |last| last.state.as_str());
        let address = last
            .and_then(|last| last.environment_url.as_deref())
            .unwrap_or_default();
        Row::new([
            badge(state),
            html(deployment.environment()),
            code(&deployment.request.git_ref),
            link(address, address),
        ])
    };
    let rows: Vec<_> = repository.deployments.iter().rev().map(row).collect();
    format!(
        "<h2>Deployments</h2>{}",
        table(&["State", "Environment", "Ref", "Address"], &rows)
    )
}

fn issues(repository: &Repository) -> String {
    if repository.issues.is_empty() {
        return String::new();
    }
    let row = |issue: &super::super::issues::Issue| {
        let text = issue.body.as_deref().unwrap_or_default();
        let title = format!(
            "<b>{}</b> #{}<details><summary>text</summary><pre>{}</pre></details>",
            html(&issue.title),
            issue.number,
            html(text)
        );
        Row::new([
            issue.state().to_owned(),
            title,
            html(&issue.labels.join(", ")),
        ])
        .id(format!("issue-{}", issue.number))
    };
    let rows: Vec<_> = repository.issues.iter().rev().map(row).collect();
    format!(
        "<h2>Issues</h2>{}",
        table(&["State", "Issue", "Labels"], &rows)
    )
}

fn comments(repository: &Repository) -> String {
    let mut body = String::new();
    for comment in repository.comments.iter().rev() {
        body.push_str(&format!(
            "<h2 id=\"comment-{}\">Comment on #{} <small>{}</small></h2><pre>{}</pre>",
            comment.id,
            comment.on,
            html(&comment.updated),
            html(&comment.body)
        ));
    }
    body
}
