//! From the diagnostics of a linter to findings with paths of the repository.

use std::sync::Arc;

use ::findings::{Finding, Location, Occurrences, Rule, SourceFiles, Subject};
use trivy::Severity;

use super::linters::{Diagnostic, Level};
use crate::request::Request;
use crate::source_map::SourceMap;

/// Findings of a linter that are kept, the most severe; all of them are counted.
const KEPT: usize = 10_000;
/// Bytes of a rule's id that are kept.
const NAME: usize = 1000;
/// Bytes of the longest path of Linux (`PATH_MAX`).
const PATH: usize = 4096;
/// Bytes of a message, and of an address, that are kept.
const MESSAGE: usize = 8000;

/// Where findings are shown.
pub(super) struct Places {
    source_map: SourceMap,
    /// The Dockerfile in the repository.
    dockerfile: String,
    /// The lock file in the repository, if one is scanned.
    lock_file: Option<String>,
}

impl Places {
    pub(super) fn new(request: &Request, source_map: SourceMap) -> Self {
        let lock_file = request.dependencies.as_ref();
        Self {
            dockerfile: request.build.dockerfile.in_workspace.clone(),
            lock_file: lock_file.map(|file| file.path.relative().to_owned()),
            source_map,
        }
    }

    /// `path` below the directory that the linter ran in: what is above it, such as `/venv`, says nothing about a file.
    pub(super) fn inside<'a>(&self, path: &'a str) -> &'a str {
        let directories = [&self.source_map.workdir, &self.source_map.context];
        let mut inside = directories.iter().filter_map(|directory| {
            let directory = directory.to_str()?.trim_end_matches('/');
            let rest = path.strip_prefix(directory)?;
            rest.starts_with('/').then_some(rest)
        });
        inside.next().unwrap_or(path)
    }

    fn path(&self, diagnostic: &Diagnostic) -> String {
        match (&diagnostic.path, &self.lock_file) {
            (Some(path), _) => self.source_map.file(path).unwrap_or_else(|| relative(path)),
            (None, Some(lock_file)) if diagnostic.code == "pip-check" => lock_file.clone(),
            (None, _) => self.dockerfile.clone(),
        }
    }
}

// A directory may begin with a dot, as `.github` does.
fn relative(path: &str) -> String {
    let mut path = path;
    while let Some(rest) = path
        .strip_prefix("./")
        .or_else(|| path.strip_prefix("../"))
        .or_else(|| path.strip_prefix('/'))
    {
        path = rest;
    }
    path.to_owned()
}

/// The findings of `diagnostics`, the most severe first, and the severities of those that are not kept.
pub(super) fn from_diagnostics(
    places: &Places,
    mut diagnostics: Vec<Diagnostic>,
) -> (Vec<Finding>, Vec<Severity>) {
    let not_kept = if diagnostics.len() > KEPT {
        diagnostics.sort_by_key(|diagnostic| std::cmp::Reverse(severity(diagnostic.level)));
        diagnostics.split_off(KEPT)
    } else {
        Vec::new()
    };
    let source = SourceFiles::new(places.source_map.workspace.root());
    let mut occurrences = Occurrences::default();
    let mut findings: Vec<_> = diagnostics
        .into_iter()
        .map(shortened)
        .map(|diagnostic| {
            let path = places.path(&diagnostic);
            let location = Location::new(path, diagnostic.line, diagnostic.end_line);
            let line_hash = source.line_hash(&location.path, location.line);
            let fingerprint = fingerprint(&diagnostic, line_hash, &mut occurrences);
            Finding {
                rule: Arc::new(rule(&diagnostic)),
                severity: severity(diagnostic.level),
                message: diagnostic.message,
                subject: Subject::Check {
                    resource: String::new(),
                },
                fingerprint,
                former_fingerprint: None,
                location,
                suppressed: None,
            }
        })
        .collect();
    findings.sort_by(|a, b| (b.severity, &a.location).cmp(&(a.severity, &b.location)));
    let not_kept = not_kept.iter().map(|diagnostic| severity(diagnostic.level));
    (findings, not_kept.collect())
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::High,
        Level::Warning => Severity::Medium,
        Level::Note => Severity::Low,
    }
}

fn shortened(mut diagnostic: Diagnostic) -> Diagnostic {
    let cut = |text: &mut String, max| text.truncate(text.floor_char_boundary(max));
    cut(&mut diagnostic.code, NAME);
    cut(&mut diagnostic.message, MESSAGE);
    cut(&mut diagnostic.url, MESSAGE);
    if let Some(path) = &mut diagnostic.path {
        cut(path, PATH);
    }
    diagnostic
}

// GitHub's hash of the line. What is about a whole file (`line_hash` is that of its first line), or in a file that is not
// in the workspace, is numbered: several findings of one rule would otherwise be one alert.
fn fingerprint(
    diagnostic: &Diagnostic,
    line_hash: Option<String>,
    occurrences: &mut Occurrences,
) -> String {
    match line_hash {
        Some(hash) if diagnostic.line > 0 => hash,
        hash => {
            let hash = hash.as_deref().and_then(|hash| hash.split(':').next());
            occurrences.number(&diagnostic.code, hash.unwrap_or("0"))
        }
    }
}

fn rule(diagnostic: &Diagnostic) -> Rule {
    Rule {
        id: diagnostic.code.clone(),
        title: diagnostic.code.clone(),
        description: diagnostic.message.clone(),
        url: diagnostic.url.clone(),
        cwes: diagnostic
            .cwe
            .iter()
            .map(|id| format!("CWE-{id}"))
            .collect(),
        score: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use actions_toolkit::Workspace;

    use super::*;

    #[test]
    fn findings_without_a_line_are_numbered_within_their_rule() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("app.py"), "import os\n").unwrap();
        let request = Request {
            workspace: Workspace::new(directory.path()),
            ..crate::report::tests::request()
        };
        let source_map = SourceMap {
            workspace: request.workspace.clone(),
            context: directory.path().to_owned(),
            workdir: "/srv".into(),
            module: None,
            index: crate::source_map::FileIndex::default(),
        };
        let hash = SourceFiles::new(directory.path()).line_hash("app.py", 1);
        let hash = hash.unwrap().replace(":1", "");
        // A whole file, a line, and lines of a file that is not in the workspace.
        let table = [
            ("E902", "app.py", 0, format!("{hash}:1")),
            ("E902", "app.py", 0, format!("{hash}:2")),
            ("F401", "app.py", 1, format!("{hash}:1")),
            ("B101", "/opt/gone.py", 3, "0:1".to_owned()),
            ("B101", "/opt/gone.py", 7, "0:2".to_owned()),
            ("B102", "/opt/gone.py", 9, "0:1".to_owned()),
        ];
        let diagnostics = table.iter().map(|(code, path, line, _)| Diagnostic {
            code: (*code).to_owned(),
            path: Some((*path).to_owned()),
            line: *line,
            ..Diagnostic::default()
        });
        let findings =
            from_diagnostics(&Places::new(&request, source_map), diagnostics.collect()).0;
        let fingerprints = findings
            .iter()
            .map(|finding| (&*finding.rule.id, &*finding.fingerprint));
        let expected = table
            .iter()
            .map(|(code, _, _, fingerprint)| (*code, &**fingerprint));
        assert!(fingerprints.eq(expected), "{findings:?}");
    }

    /// Findings of these severities.
    pub(in crate::analysis) fn findings(severities: &[Severity]) -> Vec<Finding> {
        let finding = |severity: &Severity| Finding {
            rule: Arc::new(Rule::default()),
            severity: *severity,
            message: "m".into(),
            subject: Subject::Check {
                resource: String::new(),
            },
            location: Location::new("app.py", 1, 1),
            fingerprint: "0:1".into(),
            former_fingerprint: None,
            suppressed: None,
        };
        severities.iter().map(finding).collect()
    }
}
