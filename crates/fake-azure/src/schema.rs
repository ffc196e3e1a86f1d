//! Resource Manager's own description of its resources (`schemas/azure/`): every answer with one, and every request with a
//! body, is held to it.

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

    /// The answer with `value`.
    pub(super) fn answer(&self, value: Value) -> Response {
        self.answer_in(value, |value| value)
    }

    /// The same, with `value` in what `framed` puts around it. A broken one is a defect of the stand-in, and says so.
    pub(super) fn answer_in(&self, value: Value, framed: impl FnOnce(Value) -> Value) -> Response {
        match self.problem(&value) {
            None => Json(framed(value)).into_response(),
            Some(problem) => {
                let message = format!("the stand-in breaks Azure's description: {problem}");
                refused(StatusCode::INTERNAL_SERVER_ERROR, "StandIn", &message)
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
        let said =
            json!({"id": "1", "properties": {"exitCode": 0, "provisioningState": "Succeeded"}});
        assert_eq!(COMMAND_RESULT.problem(&said), None);
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
