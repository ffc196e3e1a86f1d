//! What findings are compared with.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use actions_toolkit::{BadInput, Context};
use findings::Finding;
use oci::ImageRef;
use serde_json::Value;

use crate::request::present;

/// Where the baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// There is none.
    None,
    /// The newest analysis of the base branch of a pull request, of its category and before a patch.
    BaseBranch,
    /// A SARIF file of an earlier run.
    File(PathBuf),
    /// A folder with the base's checkout, to be scanned with the same database.
    Folder(PathBuf),
    /// The base's image, to be scanned with the same database.
    Image(ImageRef),
}

impl Source {
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        Ok(match ctx.inputs().required("baseline")? {
            "none" => Self::None,
            "auto" => {
                let event = ctx.github().event_name().unwrap_or_default();
                if event == "pull_request" {
                    Self::BaseBranch
                } else {
                    Self::None
                }
            }
            given => {
                if let Some(image) = given.strip_prefix("image:") {
                    let image = image.parse();
                    return image
                        .map(Self::Image)
                        .map_err(|e| BadInput::new("baseline", format!("`{given}`: {e}")));
                }
                let path = present(ctx, "baseline", given)?;
                if path.is_dir() {
                    return Ok(Self::Folder(path));
                }
                // Read here, so that what is no SARIF is said before anything is started.
                read_file(&path)
                    .map_err(|e| BadInput::new("baseline", format!("`{given}` {e}")))?;
                Self::File(path)
            }
        })
    }
}

/// The SARIF file at `path`.
pub(crate) fn read_file(path: &std::path::Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|e| format!("can't be read: {e}"))?;
    let file: Value =
        serde_json::from_slice(&text).map_err(|e| format!("is no SARIF file: {e}"))?;
    if file["runs"].is_array() {
        Ok(file)
    } else {
        Err("is no SARIF file: it has no `runs`".to_owned())
    }
}

/// The open findings of an earlier state: what each says, by rule and fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Baseline(BTreeMap<(String, String), String>);

impl Baseline {
    /// Those of the analysis of `category` in a SARIF file; of its only one, if there is but one.
    pub(crate) fn of_sarif(sarif: &Value, category: &str) -> Option<Self> {
        let runs = sarif["runs"].as_array()?;
        let is_of = |run: &&Value| {
            let id = run.pointer("/automationDetails/id").and_then(Value::as_str);
            let (of, _) = github::category_and_run_id(id.unwrap_or_default());
            of == category.trim_end_matches('/')
        };
        let run = match &runs[..] {
            [run] => run,
            runs => runs.iter().find(is_of)?,
        };
        let results = run["results"].as_array()?;
        let open = results
            .iter()
            .filter(|result| result["suppressions"].as_array().is_none_or(Vec::is_empty));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let known = open.map(|result| {
            let print = &result["partialFingerprints"]["primaryLocationLineHash"];
            // The standard has two places for it, and GitHub gives back what it likes (SARIF 2.1.0, 3.27.5).
            let rule = result.get("ruleId").unwrap_or(&result["rule"]["id"]);
            let key = (text(rule), text(print));
            (key, text(&result["message"]["text"]))
        });
        Some(Self(known.collect()))
    }

    /// Those of a scan.
    pub(crate) fn of_findings(findings: &[Finding]) -> Self {
        let open = findings.iter().filter(|finding| finding.open());
        let known = open.map(|finding| {
            let key = (finding.rule.id.clone(), finding.fingerprint.clone());
            (key, finding.message.clone())
        });
        Self(known.collect())
    }

    /// Compare `findings` with it.
    pub(crate) fn compare(&self, findings: &[Finding]) -> Comparison {
        let keys: HashSet<(&str, &str)> = findings
            .iter()
            .map(|finding| (&*finding.rule.id, &*finding.fingerprint))
            .collect();
        let is_new = |finding: &Finding| {
            let key = (finding.rule.id.clone(), finding.fingerprint.clone());
            finding.open() && !self.0.contains_key(&key)
        };
        let gone = self
            .0
            .iter()
            .filter(|((rule, print), _)| !keys.contains(&(&**rule, &**print)));
        Comparison {
            new: findings.iter().map(is_new).collect(),
            fixed: gone
                .map(|((rule, _), message)| (rule.clone(), message.clone()))
                .collect(),
        }
    }
}

/// Findings beside those of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Whether each finding is open and not in the baseline.
    pub(crate) new: Vec<bool>,
    /// Rule and text of what is in the baseline and not found any more.
    pub(crate) fixed: Vec<(String, String)>,
}

impl Comparison {
    /// How many are new.
    pub(crate) fn count_new(&self) -> usize {
        self.new.iter().filter(|new| **new).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(rule: &str, print: &str) -> Value {
        json!({"ruleId": rule, "message": {"text": format!("{rule}.")}, "partialFingerprints": {"primaryLocationLineHash": print}})
    }

    #[test]
    fn an_analysis_is_found_by_its_category() {
        let run = |id: &str, rule: &str| json!({"automationDetails": {"id": id}, "results": [result(rule, "1:1")]});
        let two = json!({"runs": [run("a/", "CVE-1"), run("b/", "CVE-2")]});
        let known =
            |sarif: &Value, category| Baseline::of_sarif(sarif, category).map(|b| b.0.len());
        assert_eq!(known(&two, "b"), Some(1));
        assert_eq!(known(&two, "c"), None);
        assert_eq!(known(&json!({"runs": [run("a/", "CVE-1")]}), "c"), Some(1));
        assert_eq!(known(&json!({"runs": []}), "c"), None);
    }

    #[test]
    fn new_and_fixed_are_told_by_rule_and_fingerprint() {
        let mut suppressed = result("CVE-9", "9:1");
        suppressed["suppressions"] = json!([{"kind": "external"}]);
        let sarif = json!({"runs": [{"results": [result("CVE-1", "1:1"), result("CVE-2", "1:1"), suppressed]}]});
        let baseline = Baseline::of_sarif(&sarif, "").unwrap();
        let report = json!({"SchemaVersion": 2, "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-3", "PkgName": "a", "Severity": "LOW"}]}]});
        let source = findings::SourceFiles::default();
        let places = findings::Places::new("app", "", &source);
        let mut found = findings::of_report(serde_json::from_value(report).unwrap(), &places);
        let compared = baseline.compare(&found);
        assert_eq!(compared.count_new(), 1);
        let fixed: Vec<_> = compared
            .fixed
            .iter()
            .map(|(rule, _)| rule.as_str())
            .collect();
        assert_eq!(fixed, ["CVE-1", "CVE-2"]);
        assert_eq!(Baseline::of_findings(&found).compare(&found).count_new(), 0);
        found[0].suppressed = Some(findings::Suppression {
            reason: String::new(),
            source: String::new(),
            status: String::new(),
        });
        assert_eq!(baseline.compare(&found).count_new(), 0);
    }
}
