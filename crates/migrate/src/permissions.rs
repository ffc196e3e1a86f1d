//! The permissions of a job, with those that its new steps need.

use std::collections::BTreeMap;

use crate::apply::Writer;
use crate::workflow::Job;
use crate::yaml::{Document, Id};

// Every scope of a token that can be read.
const READ_ALL: [&str; 13] = [
    "actions",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
];

type Scopes<'a> = BTreeMap<&'a str, &'a str>;

/// Add what is missing; the result says what was done, if anything.
pub(crate) fn write(writer: &mut Writer<'_>, job: &Job, needed: &Scopes<'_>) -> Option<String> {
    if needed.is_empty() || job.is_composite {
        return None;
    }
    let document = writer.document;
    if let Some((key, node)) = document.entry(job.node, "permissions") {
        let missing = missing(document, node, needed);
        if missing.is_empty() {
            return None;
        }
        extend(writer, key, node, &missing);
        return Some(format!("added to its permissions: {}", list(&missing)));
    }
    let workflow = document
        .root()
        .and_then(|root| document.get(root, "permissions"));
    let missing = workflow.map_or_else(|| needed.clone(), |node| missing(document, node, needed));
    if missing.is_empty() {
        return None;
    }
    // A job's own permissions replace those of the workflow.
    let mut all = workflow.map_or_else(Scopes::new, |node| given(document, node));
    if workflow.is_none() {
        all.insert("contents", "read");
    }
    all.extend(missing.iter().map(|(scope, access)| (*scope, *access)));
    let (steps, _) = document.entry(job.node, "steps")?;
    let at = document.node(steps).start;
    let indent = document.column(at);
    let pad = " ".repeat(indent);
    let newline = writer.newline;
    let mut text = "permissions:".to_owned();
    for (scope, access) in &all {
        text.push_str(&format!("{newline}{pad}  {scope}: {access}"));
    }
    writer.edits.insert(at, format!("{text}{newline}{pad}"));
    Some(match workflow {
        Some(_) => format!(
            "the job gets its own permissions, those of the workflow and: {}",
            list(&missing)
        ),
        None => format!(
            "the job gets permissions, since it had none: {}; add what its other steps need",
            list(&all)
        ),
    })
}

fn list(scopes: &Scopes<'_>) -> String {
    let one = |(scope, access): (&&str, &&str)| format!("`{scope}: {access}`");
    scopes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn given<'a>(document: &'a Document<'_>, node: Id) -> Scopes<'a> {
    if document.scalar(node) == Some("read-all") {
        return READ_ALL.into_iter().map(|scope| (scope, "read")).collect();
    }
    let entries = document.entries(node).iter();
    entries
        .filter_map(|(key, value)| Some((document.scalar(*key)?, document.scalar(*value)?)))
        .collect()
}

fn missing<'a>(document: &Document<'_>, node: Id, needed: &Scopes<'a>) -> Scopes<'a> {
    if document.scalar(node) == Some("write-all") {
        return Scopes::new();
    }
    let given = given(document, node);
    let is_missing = |scope: &str, access: &str| match given.get(scope) {
        Some(&"write") => false,
        Some(&"read") => access == "write",
        _ => true,
    };
    let missing = needed
        .iter()
        .filter(|(scope, access)| is_missing(scope, access));
    missing.map(|(scope, access)| (*scope, *access)).collect()
}

fn extend(writer: &mut Writer<'_>, key: Id, node: Id, missing: &Scopes<'_>) {
    let document = writer.document;
    let entries = document.entries(node);
    let is_block = !document.is_flow(node) && !document.is_alias(node) && !entries.is_empty();
    if is_block {
        let column = document.column(document.node(entries[0].0).start);
        let pad = " ".repeat(column);
        let mut added = String::new();
        for (scope, access) in missing {
            match document.entry(node, scope) {
                Some((_, value)) => writer
                    .edits
                    .replace(document.node(value).range.clone(), *access),
                None => added.push_str(&format!("{pad}{scope}: {access}{}", writer.newline)),
            }
        }
        if !added.is_empty() {
            let end = document.line_end(document.node(node).range.end);
            writer.edits.insert(end, added);
        }
        return;
    }
    let mut all = given(document, node);
    all.extend(missing.iter().map(|(scope, access)| (*scope, *access)));
    let after = document.node(key).range.end;
    let Some(colon) = document.text[after..].find(':') else {
        return;
    };
    let range = after + colon + 1..document.node(node).range.end.max(after + colon + 1);
    let text = if document.is_flow(node) && !entries.is_empty() {
        let all: Vec<_> = all
            .iter()
            .map(|(scope, access)| format!("{scope}: {access}"))
            .collect();
        format!(" {{ {} }}", all.join(", "))
    } else {
        let pad = " ".repeat(document.column(document.node(key).start) + 2);
        let start = format!("{}{pad}", writer.newline);
        let all: Vec<_> = all
            .iter()
            .map(|(scope, access)| format!("{start}{scope}: {access}"))
            .collect();
        all.concat()
    };
    writer.edits.replace(range, text);
}
