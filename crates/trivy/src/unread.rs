//! Files that a scan of configuration could not read: Trivy logs them, and its report does not have them. A scan of the rest
//! has no finding.

use std::collections::BTreeSet;

use crate::isolated;

/// What Trivy logs of such a file (`pkg/iac/scanners` of Trivy): a part of the message, the attribute that names the file, and
/// what that means for it.
const MESSAGES: &[(&str, &str, &str)] = &[
    // Terraform, CloudFormation.
    ("Error parsing file", "file_path", "can't be parsed"),
    // Dockerfiles, ARM templates.
    ("Failed to parse file", "file_path", "can't be parsed"),
    // A Helm chart.
    ("Skipping chart", "file_path", "can't be rendered"),
    // Terraform: `main.tf:4`, where the module is called.
    (
        "Failed to load module",
        "loc",
        "calls a module that can't be loaded",
    ),
];

/// What a module means that Trivy would have to download.
const NOT_DOWNLOADED: &str =
    "calls a module that is not downloaded (run `terraform init` in an earlier step)";

/// Characters of a reason that are shown.
const REASON: usize = 200;

/// A file, or a directory, that Trivy left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Its path in the target, with the line of what was left out if Trivy says it; `.` for the target itself.
    pub path: String,
    /// Why, as the rest of a sentence after the path: `can't be parsed: unknown instruction: runn`.
    pub problem: String,
}

/// Whether a line of Trivy's log is about such a file.
pub(crate) fn is_about(line: &str) -> bool {
    message(line).is_some()
}

/// The files that `lines` are about, each once with its first problem, in the order of their paths.
pub(crate) fn of(lines: &[String]) -> Vec<Unread> {
    let mut seen = BTreeSet::new();
    let unread = lines.iter().filter_map(|line| {
        let (_, attribute, meaning) = message(line)?;
        let path = value(line, attribute)?;
        let reason = value(line, "err").unwrap_or_default();
        // The rest of the text is an excerpt, or a trace.
        let reason = reason.lines().next().unwrap_or_default();
        let reason: String = reason.chars().take(REASON).collect();
        let reason = reason.trim_end_matches('.');
        if isolated::is_refused(reason) {
            let problem = NOT_DOWNLOADED.to_owned();
            return Some(Unread { path, problem });
        }
        let separator = if reason.is_empty() { "" } else { ": " };
        let problem = format!("{meaning}{separator}{reason}");
        Some(Unread { path, problem })
    });
    let mut unread: Vec<_> = unread
        .filter(|unread| seen.insert(unread.path.clone()))
        .collect();
    unread.sort_unstable();
    unread
}

// A line is `TIME LEVEL [part] MESSAGE key="value" …`, with tabs before the level, the message and the attributes.
fn message(line: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let mut columns = line.split('\t').skip(1);
    let is_problem = ["ERROR", "WARN"].contains(&columns.next()?);
    let text = columns.next()?;
    let mut messages = MESSAGES.iter();
    messages.find(|(message, ..)| is_problem && text.contains(message))
}

// The value of an attribute, which Go has quoted (`strconv.Quote`).
fn value(line: &str, attribute: &str) -> Option<String> {
    let (_, quoted) = line.split_once(&format!("\t{attribute}=\"")).or_else(|| {
        // After the first one, a blank is before each.
        line.split_once(&format!(" {attribute}=\""))
    })?;
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trivy_could_not_read_is_in_its_log() {
        let log = [
            "2026-11-30T16:35:32Z\tINFO\t[terraform scanner] Scanning root module\tfile_path=\".\"",
            "2026-11-30T16:35:32Z\tERROR\t[misconfig] Falling back to embedded checks\terr=\"failed to check cache\"",
            "2026-11-30T16:35:32Z\tERROR\t[terraform parser] Error parsing file\tmodule=\"root\" file_path=\"tf/main.tf\" cause=\" bucket = \" err=\"main.tf:2,11-3,1: Invalid expression; Expected the start\"",
            "2026-11-30T16:35:32Z\tERROR\t[terraform parser] Error parsing file\tmodule=\"root\" file_path=\"tf/main.tf\" cause=\"\" err=\"another\"",
            "2026-11-30T16:35:32Z\tERROR\t[dockerfile scanner] Failed to parse file\tfile_path=\"Dockerfile\" err=\"parse instruction \\\"runn\\\": unknown instruction: runn\"",
            "2026-11-30T16:36:27Z\tWARN\t[helm scanner] Skipping chart\tfile_path=\"chart\" err=\"parse chart: x/templates/a.yaml:1:10\\n  executing\"",
            "2026-11-30T16:36:27Z\tERROR\t[terraform evaluator] Failed to load module. Maybe try 'terraform init'?\tmodule=\"root\" loc=\"v.tf:4\" err=\"read dir: file does not exist\"",
            "2026-11-30T16:36:27Z\tERROR\t[terraform evaluator] Failed to load module. Maybe try 'terraform init'?\tmodule=\"root\" loc=\"w.tf:1-3\" err=\"Get \\\"https://a.example/v1/modules/a/b/c/download\\\": proxyconnect tcp: dial tcp 127.0.0.1:0: connect: connection refused\"",
            "2026-11-30T16:36:27Z\tDEBUG\t[x] Failed to parse file\tfile_path=\"debug\"",
            "Error parsing file\tfile_path=\"not a line of the log\"",
            "2026-11-30T16:36:27Z\tERROR\t[x] Failed to parse file\tfile_path=\"cut off",
        ]
        .map(ToOwned::to_owned);
        assert_eq!(log.iter().filter(|line| is_about(line)).count(), 7);
        let unread = of(&log).into_iter();
        let unread = unread.map(|unread| format!("{} {}", unread.path, unread.problem));
        insta::assert_snapshot!(unread.collect::<Vec<_>>().join("\n"), @r#"
        Dockerfile can't be parsed: parse instruction "runn": unknown instruction: runn
        chart can't be rendered: parse chart: x/templates/a.yaml:1:10
        tf/main.tf can't be parsed: main.tf:2,11-3,1: Invalid expression; Expected the start
        v.tf:4 calls a module that can't be loaded: read dir: file does not exist
        w.tf:1-3 calls a module that is not downloaded (run `terraform init` in an earlier step)
        "#);
    }
}
