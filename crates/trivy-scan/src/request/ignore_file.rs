//! The file of findings to ignore, checked before Trivy reads it: Trivy skips mistakes and expired entries silently.
//!
//! Formats: trivy.dev/docs/latest/configuration/filtering.

use std::path::{Path, PathBuf};

use actions_toolkit::text::plural;
use actions_toolkit::{BadInput, Workspace};
use findings::Finding;
use jiff::civil::Date;
use serde::Deserialize;

use super::{FILE_LIMIT, Inputs};

/// Names of the file if `ignore-file` is not set.
const NAMES: [&str; 3] = [".trivyignore", ".trivyignore.yaml", ".trivyignore.yml"];
/// Days before an entry expires in which it is reported.
const SOON: i32 = 14;

/// A file of findings to ignore.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IgnoreFile {
    pub(crate) path: PathBuf,
    name: String,
    entries: Vec<Entry>,
    /// Other such files of the workspace, which are not used.
    others: Vec<&'static str>,
}

/// One line or entry of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    id: String,
    expires: Option<Date>,
    has_reason: bool,
    /// Whether it may ignore a check of configuration.
    is_check: bool,
}

// Unknown keys are an error: Trivy skips them with the entries below them.
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
#[expect(dead_code, reason = "parsed so that a wrong type is an error")]
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
    /// The file that `input` names or, failing that, the one that the workspace has.
    pub(super) fn open(
        workspace: &Workspace,
        input: Option<&str>,
    ) -> Result<Option<Self>, BadInput> {
        // A link that leads elsewhere is an error, like any file that can't be read.
        let exists = |name: &&str| workspace.root().join(name).symlink_metadata().is_ok();
        let mut others: Vec<_> = NAMES.into_iter().filter(exists).collect();
        let Some(name) = input.or(others.first().copied()) else {
            return Ok(None);
        };
        let bad = |problem| BadInput::new(Inputs::ignore_file, problem);
        let file = workspace.path(Inputs::ignore_file, name).map_err(bad)?;
        let text = file.read(FILE_LIMIT)?;
        others.retain(|other| *other != name);
        let extension = Path::new(name).extension();
        let is_yaml = extension.is_some_and(|e| e == "yaml" || e == "yml");
        let entries = if is_yaml {
            parse_yaml(&text)
        } else {
            parse_lines(&text)
        };
        Ok(Some(Self {
            path: file.absolute(),
            name: name.to_owned(),
            entries: entries.map_err(|problem| bad(format!("`{name}`: {problem}")))?,
            others,
        }))
    }

    /// That checks of configuration may be suppressed: Trivy does not list them.
    pub(crate) fn remark_on_checks(&self) -> Option<String> {
        let name = &self.name;
        match self.entries.iter().filter(|entry| entry.is_check).count() {
            0 => None,
            1 => Some(format!("`{name}` may suppress a check of configuration")),
            count => Some(format!(
                "`{name}` may suppress {count} checks of configuration"
            )),
        }
    }

    /// Entries that have expired, expire soon, suppress none of `findings` or have no reason.
    ///
    /// What it suppresses in a scan of configuration, Trivy does not report (`trivy config` has no `--show-suppressed`):
    /// with such a scan among the targets, `scans_configuration`, it is unknown whether an entry for a check is used.
    pub(crate) fn remarks(
        &self,
        findings: &[&Finding],
        scans_configuration: bool,
        today: Date,
    ) -> Vec<String> {
        let unused = |other: &&str| {
            format!(
                "`{other}` is not used, since `{}` is: put all entries into one file",
                self.name
            )
        };
        let mut remarks: Vec<_> = self.others.iter().map(unused).collect();
        for Entry {
            id,
            expires,
            has_reason,
            is_check,
        } in &self.entries
        {
            let name = &self.name;
            // Trivy's entries end at 00:00 UTC of the day.
            if let Some(end) = expires.filter(|end| *end <= today) {
                remarks.push(format!("`{name}`: the entry for {id} expired on {end} and has no effect; renew or remove it"));
                continue;
            }
            let days = expires
                .and_then(|end| today.until(end).ok())
                .map(|span| span.get_days());
            if let Some(days) = days.filter(|days| *days <= SOON) {
                remarks.push(format!(
                    "`{name}`: the entry for {id} expires in {}",
                    plural(usize::try_from(days).unwrap_or_default(), "day")
                ));
            }
            let suppresses = |finding: &&Finding| !finding.is_open() && finding.rule.id == *id;
            let is_known = !(scans_configuration && *is_check);
            if is_known && !findings.iter().any(suppresses) {
                remarks.push(format!("`{name}`: the entry for {id} suppresses nothing; remove it unless another scan needs it"));
            } else if !has_reason {
                remarks.push(format!("`{name}`: the entry for {id} has no reason; add a `statement`, or a comment above it"));
            }
        }
        remarks
    }
}

fn date(text: &str) -> Result<Date, String> {
    let day = text.split('T').next().unwrap_or(text);
    day.parse()
        .map_err(|_| format!("invalid date `{text}`; use the form `2026-12-31`"))
}

pub(crate) fn parse_yaml(text: &str) -> Result<Vec<Entry>, String> {
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
        .flat_map(|(is_check, entries)| entries.into_iter().map(move |entry| (is_check, entry)))
        .map(|(is_check, entry)| {
            let statement = entry.statement.unwrap_or_default();
            Ok(Entry {
                expires: entry.expired_at.as_deref().map(date).transpose()?,
                has_reason: !statement.trim().is_empty(),
                id: entry.id,
                is_check,
            })
        })
        .collect()
}

// `CVE-2026-1 exp:2026-12-31 # reason`; a comment above the line is a reason as well.
pub(crate) fn parse_lines(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
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
                        "line {number}: `{word}` is not `exp:YYYY-MM-DD` or a comment"
                    ));
                }
            }
        }
        entries.push(Entry {
            // A line has no kind.
            is_check: !["CVE-", "GHSA-"]
                .iter()
                .any(|prefix| id.starts_with(prefix)),
            id,
            expires,
            has_reason: comment || !reason.trim().is_empty(),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
