//! GitHub's description of the operations (`schemas/`): every request and response is checked against
//! it.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Registry, Validator};
use serde_json::Value;

/// Where the shared schemas are filed; nothing is ever loaded from there.
const BASE: &str = "https://schemas.invalid/";

const COMPONENTS: &str = include_str!("../schemas/components.json");

macro_rules! operations {
    ($($file:literal),* $(,)?) => {
        [$(include_str!(concat!("../schemas/", $file, ".json"))),*]
    };
}

const OPERATIONS: [&str; 27] = operations![
    "code-scanning-get-analysis",
    "code-scanning-get-sarif",
    "code-scanning-list-alerts-for-repo",
    "code-scanning-list-recent-analyses",
    "code-scanning-update-alert",
    "code-scanning-upload-sarif",
    "dependency-graph-create-repository-snapshot",
    "issues-create",
    "issues-create-comment",
    "issues-get",
    "issues-get-comment",
    "issues-list-comments",
    "issues-list-for-repo",
    "issues-update",
    "issues-update-comment",
    "orgs-create-artifact-deployment-record",
    "orgs-create-artifact-storage-record",
    "orgs-set-cluster-deployment-records",
    "pulls-get",
    "pulls-list",
    "pulls-list-files",
    "repos-create-deployment",
    "repos-create-deployment-status",
    "repos-get",
    "repos-get-deployment",
    "repos-list-deployments",
    "repos-list-deployment-statuses",
];

/// One operation: its method, its path with the parameters' names, and its schemas.
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    request: Option<Schema>,
    responses: BTreeMap<String, Schema>,
}

// Compiled when it is first needed: most tests need few of them.
struct Schema {
    text: Value,
    compiled: OnceLock<Option<Validator>>,
}

impl Schema {
    fn new(text: Value) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    /// What is wrong with `value`: where, and what.
    fn problem(&self, value: &Value) -> Option<Problem> {
        let compiled = self.compiled.get_or_init(|| {
            let registry = REGISTRY.as_ref()?;
            jsonschema::options()
                .with_base_uri(BASE)
                .with_registry(registry)
                .should_validate_formats(true)
                .build(&self.text)
                .ok()
        });
        let Some(validator) = compiled else {
            return Some(Problem::unusable());
        };
        let error = validator.validate(value).err()?;
        let message = match error.kind() {
            ValidationErrorKind::Required { property } => format!("{property} wasn't supplied."),
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                format!("\"{}\" is not a permitted key.", unexpected.join("\", \""))
            }
            _ => {
                let pointer = error.instance_path().to_string();
                let path = pointer.trim_start_matches('/');
                // The value may be 10 MB of SARIF.
                format!(
                    "For 'properties/{path}', {}.",
                    error.masked_with("the value")
                )
            }
        };
        Some(Problem(message))
    }
}

/// A message as GitHub writes it.
#[derive(Debug)]
pub(super) struct Problem(pub(super) String);

impl Problem {
    fn unusable() -> Self {
        Self("the schema itself is not usable".into())
    }
}

static REGISTRY: LazyLock<Option<Registry<'static>>> = LazyLock::new(|| {
    let components: Value = serde_json::from_str(COMPONENTS).ok()?;
    let builder = Registry::new();
    let builder = builder.add(format!("{BASE}components.json"), components);
    builder.ok()?.prepare().ok()
});

static ALL: LazyLock<Vec<Operation>> =
    LazyLock::new(|| OPERATIONS.iter().filter_map(|text| read(text)).collect());

// Errors are described alike everywhere, also where the operation does not list the status.
static ERROR: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new(serde_json::json!({"$ref": "components.json#/$defs/basic-error"}))
});

fn read(text: &str) -> Option<Operation> {
    let mut whole: Value = serde_json::from_str(text).ok()?;
    let request = whole.get_mut("request").map(Value::take).map(Schema::new);
    let responses = whole["responses"].as_object()?.clone();
    Some(Operation {
        method: whole["method"].as_str()?.to_owned(),
        path: whole["path"].as_str()?.to_owned(),
        request,
        responses: responses
            .into_iter()
            .map(|(status, schema)| (status, Schema::new(schema)))
            .collect(),
    })
}

impl Operation {
    /// The operation of a route.
    pub(super) fn find(method: &str, path: &str) -> Option<&'static Self> {
        ALL.iter().find(|o| o.method == method && o.path == path)
    }

    pub(super) fn takes_body(&self) -> bool {
        self.request.is_some()
    }

    pub(super) fn request_problem(&self, body: &Value) -> Option<Problem> {
        self.request.as_ref()?.problem(body)
    }

    pub(super) fn response_problem(&self, status: u16, body: &Value) -> Option<Problem> {
        match self.responses.get(&status.to_string()) {
            Some(schema) => schema.problem(body),
            None if status >= 400 => ERROR.problem(body),
            None => Some(Problem(format!("the status {status} is not described."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_usable() {
        assert_eq!(ALL.len(), OPERATIONS.len());
        for operation in ALL.iter() {
            let schemas = operation.request.iter().chain(operation.responses.values());
            for schema in schemas {
                let problem = schema
                    .problem(&Value::Null)
                    .expect("null is not a valid response");
                assert!(
                    !problem.0.contains("not usable"),
                    "{} {}",
                    operation.method,
                    operation.path
                );
            }
        }
    }

    #[test]
    fn a_problem_has_githubs_message() {
        let upload = Operation::find("POST", "/repos/{owner}/{repo}/code-scanning/sarifs")
            .expect("the operation");
        let good = serde_json::json!({"commit_sha": "0".repeat(40), "ref": "refs/heads/main", "sarif": "x"});
        assert!(upload.request_problem(&good).is_none());
        for (field, value, message) in [
            ("commit_sha", Value::Null, "For 'properties/commit_sha', "),
            ("ref", "main".into(), "For 'properties/ref', "),
            (
                "checkout_uri",
                "not a uri".into(),
                "For 'properties/checkout_uri', ",
            ),
            ("color", "red".into(), "\"color\" is not a permitted key."),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let problem = upload.request_problem(&body).expect(field);
            assert!(problem.0.starts_with(message), "{}", problem.0);
        }
        let empty = upload
            .request_problem(&serde_json::json!({}))
            .expect("a problem");
        assert_eq!(empty.0, "\"commit_sha\" wasn't supplied.");
    }
}
