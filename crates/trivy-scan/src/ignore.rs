//! The file of findings to ignore, read before Trivy reads it: what Trivy passes over in silence is said.
//!
//! Formats: trivy.dev/docs/latest/configuration/filtering.

use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Context};
use findings::Finding;
use jiff::civil::Date;
use serde::Deserialize;

use crate::request::present;

/// Names under which a file is found without being named.
const NAMES: [&str; 2] = [".trivyignore", ".trivyignore.yaml"];
/// Days before its end from which an entry is mentioned.
const SOON: i32 = 14;

/// A file of findings to ignore.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IgnoreFile {
    pub(crate) path: PathBuf,
    name: String,
    entries: Vec<Entry>,
}

/// One line or entry of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    expires: Option<Date>,
    reasoned: bool,
    /// Whether it may be of a check of configuration.
    of_check: bool,
}

// Unknown keys are an error: Trivy does not look at them, and the entries below them count for nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    vulnerabilities: Vec<YamlEntry>,
    #[serde(default)]
    misconfigurations: Vec<YamlEntry>,
    #[serde(default)]
    secrets: Vec<YamlEntry>,
    #[serde(default)]
    licenses: Vec<YamlEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // read so that a wrong type is an error
struct YamlEntry {
    id: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    purls: Vec<String>,
    #[serde(default)]
    expired_at: Option<String>,
    #[serde(default)]
    statement: Option<String>,
}

impl IgnoreFile {
    /// The file that the input names or that lies in the workspace, if there is one.
    pub(crate) fn of(ctx: &Context, workspace: &Path) -> Result<Option<Self>, BadInput> {
        let given = ctx.inputs().text("ignore-file");
        let found = NAMES
            .into_iter()
            .find(|name| workspace.join(name).is_file());
        let Some(name) = given.or(found) else {
            return Ok(None);
        };
        let path = present(ctx, "ignore-file", name)?;
        let bad = |problem: String| BadInput::new("ignore-file", format!("`{name}`: {problem}"));
        let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        let entries = if yaml { document(&text) } else { lines(&text) }.map_err(bad)?;
        Ok(Some(Self {
            path,
            name: name.to_owned(),
            entries,
        }))
    }

    /// What a person should know about it, given what it took out. What it takes out of a scan of configuration Trivy
    /// does not tell (`trivy config` has no `--show-suppressed`), so with such a scan `of_checks` nobody knows whether
    /// an entry of a check was of use.
    pub(crate) fn remarks(
        &self,
        findings: &[&Finding],
        of_checks: bool,
        today: Date,
    ) -> Vec<String> {
        let mut found = Vec::new();
        for Entry {
            id,
            expires,
            reasoned,
            of_check,
        } in &self.entries
        {
            let name = &self.name;
            if let Some(end) = expires.filter(|end| *end < today) {
                found.push(format!("`{name}`: the entry for {id} expired on {end} and counts no more: renew it or take it out"));
                continue;
            }
            let days = expires
                .and_then(|end| today.until(end).ok())
                .map(|span| span.get_days());
            if let Some(days) = days.filter(|days| *days <= SOON) {
                found.push(format!(
                    "`{name}`: the entry for {id} expires in {days} days"
                ));
            }
            let used = |finding: &&Finding| !finding.is_open() && finding.rule.id == *id;
            let is_known = !(of_checks && *of_check);
            if is_known && !findings.iter().copied().any(|finding| used(&finding)) {
                found.push(format!("`{name}`: the entry for {id} took out nothing: take it out of the file if it is not for another scan"));
            } else if !reasoned {
                found.push(format!("`{name}`: the entry for {id} does not say why: write a `statement`, or a comment above it"));
            }
        }
        found
    }
}

fn date(text: &str) -> Result<Date, String> {
    let day = text.split('T').next().unwrap_or(text);
    day.parse()
        .map_err(|_| format!("`{text}` is no date such as `2026-12-31`"))
}

fn document(text: &str) -> Result<Vec<Entry>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let Document {
        vulnerabilities,
        misconfigurations,
        secrets,
        licenses,
    } = document;
    let all = [
        (false, vulnerabilities),
        (true, misconfigurations),
        (false, secrets),
        (false, licenses),
    ];
    all.into_iter()
        .flat_map(|(of_check, entries)| entries.into_iter().map(move |entry| (of_check, entry)))
        .map(|(of_check, entry)| {
            let statement = entry.statement.unwrap_or_default();
            Ok(Entry {
                expires: entry.expired_at.as_deref().map(date).transpose()?,
                reasoned: !statement.trim().is_empty(),
                id: entry.id,
                of_check,
            })
        })
        .collect()
}

// `CVE-2026-1 exp:2026-12-31 # why`; a comment above it is a reason as well.
fn lines(text: &str) -> Result<Vec<Entry>, String> {
    let mut found = Vec::new();
    let mut comment = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() {
            comment = false;
            continue;
        }
        if line.starts_with('#') {
            comment = true;
            continue;
        }
        let (line, reason) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let id = words.next().unwrap_or_default().to_owned();
        let mut expires = None;
        for word in words {
            match word.strip_prefix("exp:") {
                Some(day) => expires = Some(date(day).map_err(|e| format!("line {number}: {e}"))?),
                None => {
                    return Err(format!(
                        "line {number}: `{word}` is neither `exp:YYYY-MM-DD` nor a comment"
                    ));
                }
            }
        }
        found.push(Entry {
            // A line does not say of what it is.
            of_check: !["CVE-", "GHSA-"].iter().any(|sort| id.starts_with(sort)),
            id,
            expires,
            reasoned: comment || !reason.trim().is_empty(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
