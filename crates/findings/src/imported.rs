//! SARIF files of other scanners, made fit for GitHub.
//!
//! What GitHub needs of a file: docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning. Scanners
//! leave out much of it, and GitHub rejects the whole file for one result: here each result gets a text, a place in the
//! repository and a fingerprint. Results that are not findings, such as suppressed ones, are left out.

mod paths;
mod results;
mod rules;

use actions_toolkit::text::{cut, plural};
use serde_json::{Map, Value, json};

use crate::SourceFiles;
use crate::sarif::RESULTS;
use paths::Paths;
use results::Results;
use rules::Rules;

/// Rules that GitHub accepts in one analysis.
const RULES: usize = 25_000;
/// Extensions of a tool that GitHub accepts in one analysis.
const EXTENSIONS: usize = 100;
/// Values of a file: a short one, such as `{}`, takes many times its size in memory.
const VALUES: usize = 16_000_000;

/// One analysis of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRun {
    /// The scanner, as the Security tab shows it.
    pub tool: String,
    /// `automationDetails.id`, if the file has one.
    pub id: Option<String>,
    /// What it found.
    pub levels: Levels,
    /// What is not uploaded as it is in the file, for a person.
    pub remarks: Vec<String>,
    run: Map<String, Value>,
}

/// The number of results of each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Levels {
    /// `error`.
    pub errors: usize,
    /// `warning`, which is the default.
    pub warnings: usize,
    /// `note` and `none`.
    pub notes: usize,
}

impl Levels {
    /// All of them.
    pub fn total(&self) -> usize {
        self.errors + self.warnings + self.notes
    }

    fn add(&mut self, level: &str) {
        match level {
            "error" => self.errors += 1,
            "note" | "none" => self.notes += 1,
            _ => self.warnings += 1,
        }
    }
}

impl std::ops::Add for Levels {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            errors: self.errors + other.errors,
            warnings: self.warnings + other.warnings,
            notes: self.notes + other.notes,
        }
    }
}

/// `3 results (1 error, 2 warnings)`.
impl std::fmt::Display for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&plural(self.total(), "result"))?;
        let parts = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.notes, "note"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, level)| plural(count, level)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", parts.join(", "))
    }
}

/// The analyses of the SARIF file `bytes`. `roots` are the names that the workspace has had on other machines and in other
/// containers, and `source` its files.
///
/// # Errors
/// When it is not a SARIF file, or has what GitHub rejects and what cannot be left out; the message continues the name of the
/// file.
pub fn import(
    bytes: &[u8],
    source: &SourceFiles,
    roots: &[String],
) -> Result<Vec<ImportedRun>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Those in texts count too.
    let starts = bytes.iter().filter(|byte| b",[{".contains(byte));
    if starts.count() > VALUES {
        return Err(format!("has more than {VALUES} values"));
    }
    let mut file: Value =
        serde_json::from_slice(bytes).map_err(|e| format!("is not a SARIF file: {e}"))?;
    let Some(Value::Array(runs)) = file.get_mut("runs").map(Value::take) else {
        return Err("is not a SARIF file: it has no `runs`".to_owned());
    };
    match file["version"].as_str() {
        // Pre-releases call themselves `2.1.0-rtm.5`.
        Some(version) if version.starts_with("2.1.0") => {}
        Some(version) => {
            return Err(format!(
                "has the SARIF version {}; GitHub accepts 2.1.0 only",
                cut(version, 20)
            ));
        }
        None => return Err("is not a SARIF file: it has no `version`".to_owned()),
    }
    let runs = (1..).zip(runs).map(|(number, run)| {
        let run = ImportedRun::new(run, source, roots);
        run.map_err(|problem| format!("is not accepted by GitHub: run {number} {problem}"))
    });
    runs.collect()
}

/// The SARIF file of `runs`, each with its `results` worst results at most.
pub fn write(runs: &[&ImportedRun], results: usize) -> Vec<u8> {
    let runs: Vec<_> = runs.iter().map(|run| run.cut(results)).collect();
    let file = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    });
    file.to_string().into_bytes()
}

impl ImportedRun {
    fn new(run: Value, source: &SourceFiles, roots: &[String]) -> Result<Self, String> {
        let Value::Object(mut run) = run else {
            return Err("is not an object".to_owned());
        };
        let tool = run
            .get("tool")
            .and_then(|tool| tool["driver"]["name"].as_str())
            .filter(|name| !name.is_empty())
            .ok_or("does not name its tool (`tool.driver.name`)")?
            .to_owned();
        let extensions = run["tool"]["extensions"].as_array().map_or(0, Vec::len);
        if extensions > EXTENSIONS {
            return Err(format!(
                "has {extensions} extensions of its tool, over the limit of {EXTENSIONS}"
            ));
        }
        let rules = Rules::new(&run["tool"]);
        let paths = Paths::new(&run, roots);
        let list = match run.remove("results") {
            Some(Value::Array(list)) => list,
            // A tool that failed writes `null`.
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err("has `results` that are not a list".to_owned()),
        };
        let mut results = Results::new(&rules, &paths, source);
        for result in list {
            results.add(result);
        }
        let (results, levels, mut remarks) = results.finish();
        if rules.count() > RULES {
            rules::keep_used(&mut run, &results);
            remarks.push(format!(
                "rules without a result are left out: GitHub accepts {RULES}"
            ));
        }
        run.insert("results".to_owned(), results.into());
        // Every path is relative to the workspace now.
        run.remove("originalUriBaseIds");
        if let Some(Value::Array(artifacts)) = run.get_mut("artifacts") {
            for artifact in artifacts {
                paths.rewrite(&mut artifact["location"]);
            }
        }
        let id = run.get("automationDetails").and_then(|d| d["id"].as_str());
        Ok(Self {
            tool,
            id: id.filter(|id| !id.is_empty()).map(ToOwned::to_owned),
            levels,
            remarks,
            run,
        })
    }

    /// Set `automationDetails.id`.
    pub fn set_id(&mut self, id: String) {
        let details = self.run.entry("automationDetails");
        let details = details.or_insert_with(|| json!({}));
        if !details.is_object() {
            *details = json!({});
        }
        details["id"] = id.clone().into();
        self.id = Some(id);
    }

    fn results(&self) -> &[Value] {
        let results = self.run.get("results").and_then(Value::as_array);
        results.map_or(&[], Vec::as_slice)
    }

    /// The number of results that a file with `limit` results at most does not have.
    pub fn omitted(&self, limit: usize) -> usize {
        self.results().len().saturating_sub(limit.min(RESULTS))
    }

    // The worst come first where there are many.
    fn cut(&self, limit: usize) -> Value {
        let limit = limit.min(RESULTS);
        if self.omitted(limit) == 0 {
            return self.run.clone().into();
        }
        let others = self.run.iter().filter(|(name, _)| *name != "results");
        let mut run: Map<_, _> = others.map(|(n, v)| (n.clone(), v.clone())).collect();
        let kept = self.results().iter().take(limit).cloned();
        run.insert("results".to_owned(), kept.collect());
        run.into()
    }
}

#[cfg(test)]
mod tests;
