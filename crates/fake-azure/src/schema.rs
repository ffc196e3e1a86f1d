//! Resource Manager's description of its resources (`schemas/`): every response with one, and every request with a
//! body, is checked against it.

use std::sync::LazyLock;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jsonschema::Validator;
use serde_json::Value;

use super::resources::refused;

const CONTAINER_SERVICE: &str = include_str!("../schemas/container-service-2025-10-01.json");
const CONTAINER_REGISTRY: &str = include_str!("../schemas/container-registry-2025-11-01.json");

/// A model of the description.
pub(super) struct Model {
    name: &'static str,
    validator: Option<Validator>,
}

macro_rules! models {
    ($($model:ident = $text:ident $name:literal;)*) => {
        $(pub(super) static $model: LazyLock<Model> = LazyLock::new(|| Model::new($text, $name));)*
    };
}

models! {
    REGISTRY = CONTAINER_REGISTRY "Registry";
    CLUSTER = CONTAINER_SERVICE "ManagedCluster";
    CREDENTIALS = CONTAINER_SERVICE "CredentialResults";
    RUN_COMMAND = CONTAINER_SERVICE "RunCommandRequest";
    COMMAND_RESULT = CONTAINER_SERVICE "RunCommandResult";
    ERROR = CONTAINER_SERVICE "ErrorResponse";
}

impl Model {
    fn new(text: &str, name: &'static str) -> Self {
        let validator = serde_json::from_str(text)
            .ok()
            .and_then(|mut schema: Value| {
                schema["$ref"] = format!("#/$defs/{name}").into();
                let options = jsonschema::options().should_validate_formats(true);
                options.build(&schema).ok()
            });
        Self { name, validator }
    }

    /// What is wrong with `value`: where, and what.
    pub(super) fn problem(&self, value: &Value) -> Option<String> {
        let Some(validator) = &self.validator else {
            return Some(format!("the description of {} can't be read", self.name));
        };
        let error = validator.iter_errors(value).next()?;
        Some(format!("{} {}: {error}", self.name, error.instance_path()))
    }

    /// The response with `value`.
    pub(super) fn response(&self, value: Value) -> Response {
        self.frame(value, |value| value)
    }

    /// The response with `framed(value)`; if `value` does not match the schema, 500, as that is a defect of the fake.
    pub(super) fn frame(&self, value: Value, framed: impl FnOnce(Value) -> Value) -> Response {
        match self.problem(&value) {
            None => Json(framed(value)).into_response(),
            Some(problem) => {
                let message =
                    format!("the response of fake-azure does not match Azure's schema: {problem}");
                refused(StatusCode::INTERNAL_SERVER_ERROR, "FakeAzure", &message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_azure_does_not_say_is_found() {
        let result =
            json!({"id": "1", "properties": {"exitCode": 0, "provisioningState": "Succeeded"}});
        assert_eq!(COMMAND_RESULT.problem(&result), None);
        let table = [
            (
                json!({"id": "1", "properties": {"exitCode": "0"}}),
                "RunCommandResult /properties/exitCode: \"0\" is not of type \"integer\"",
            ),
            (
                json!({"id": "1", "exitCode": 0}),
                "RunCommandResult : Additional properties are not allowed ('exitCode' was unexpected)",
            ),
        ];
        for (value, problem) in table {
            assert_eq!(COMMAND_RESULT.problem(&value).unwrap(), problem);
        }
    }
}
