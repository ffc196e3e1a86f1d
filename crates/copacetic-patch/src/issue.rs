//! The rolling issue: one for each workflow, opened, rewritten and closed with what cannot be mended.

use actions_toolkit::text;
use github::{Issues, RollingIssue};

use crate::report::Patched;
use crate::session::Session;

/// Findings that are listed; GitHub takes 65,536 characters.
const ROWS: usize = 200;

/// Bring the issue up to date. The images are patched by now: an issue that can't be written is told of,
/// and changes no verdict.
pub(crate) async fn roll(session: &Session<'_>, done: &[Patched]) {
    let ctx = session.ctx;
    let (true, Some(token)) = (session.request.issue, &session.request.token) else {
        return;
    };
    let rolled = async {
        let github = ctx.github();
        let repository = github.repository().unwrap_or_default();
        let http = ctx.http()?.clone();
        let issues = Issues::new(http, github.api_url(), repository, token.expose())?;
        let key = github.workflow_path().unwrap_or("copacetic-patch");
        let rolling = RollingIssue {
            key: format!("copacetic-patch {key}"),
            title: "Findings that no update mends".into(),
            body: body(done),
        };
        issues.roll(&rolling).await
    };
    match rolled.await {
        Ok(Some(number)) => ctx.log().info(format!("issue #{number} says what remains")),
        Ok(None) => {}
        Err(e) => ctx.log().warning(format!("{e:#}")),
    }
}

// What remains in every image; nothing if nothing does.
fn body(done: &[Patched]) -> Option<String> {
    let rows: Vec<_> = done
        .iter()
        .flat_map(|image| image.remaining.iter().map(move |row| (&image.image, row)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut out = "No update of the distribution mends these findings yet. A run that finds nothing more closes this issue.\n\n| Image | Finding | Package | Why |\n|---|---|---|---|\n".to_owned();
    for (image, [id, package, why]) in rows.iter().take(ROWS) {
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::code(&image.to_string()),
            text::markdown(id),
            text::code(package),
            text::markdown(why)
        ));
    }
    if rows.len() > ROWS {
        out.push_str(&format!("\n… and {} more.\n", rows.len() - ROWS));
    }
    Some(out)
}
