//! Fields of an object that have another name or type than the schema of its kind.
//!
//! Messages: sigs.k8s.io/structured-merge-diff, `typed/validate.go`; the API server responds with them and status 500.

/// How the message begins, up to the object in parentheses.
const START: &str = "failed to create typed patch object (";

/// What is wrong with which fields, if `message` is about that.
pub(crate) fn problem(message: &str) -> Option<String> {
    let (object, fields) = message.strip_prefix(START)?.split_once("): ")?;
    let is_secret = object.ends_with("Kind=Secret");
    let fields = fields.trim_start_matches("errors:").lines();
    let fields = fields.map(str::trim).filter(|line| !line.is_empty());
    let problems: Vec<_> = fields.map(|line| of_field(line, is_secret)).collect();
    Some(problems.join("; "))
}

fn of_field(line: &str, is_secret: bool) -> String {
    let Some((path, problem)) = line.split_once(": ") else {
        return line.to_owned();
    };
    let path = path.trim_start_matches('.').replace('"', "");
    if problem == "field not declared in schema" {
        return format!("the field `{path}` is unknown; check its name and place");
    }
    let Some((expected, actual)) = problem
        .strip_prefix("expected ")
        .and_then(|types| types.split_once(", got "))
    else {
        return format!("`{path}`: {problem}");
    };
    let actual = actual.trim_start_matches("&value.valueUnstructured{Value:");
    let actual = actual.trim_start_matches("&{").trim_end_matches('}');
    let actual = if is_secret {
        "of another type".to_owned()
    } else {
        format!("`{actual}`")
    };
    let quote = if expected == "string" {
        "; put it in quotes"
    } else {
        ""
    };
    format!("`{path}` is {actual}, and must be of the type {expected}{quote}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_with_what_is_wrong() {
        let table = [
            (
                ".spec.template.spec.containers[name=\"c\"].imag: field not declared in schema",
                "the field `spec.template.spec.containers[name=c].imag` is unknown; check its name and place",
            ),
            (
                "errors:\n  .a: expected string, got &value.valueUnstructured{Value:8000}\n  .b: expected boolean, got &{yes}",
                "`a` is `8000`, and must be of the type string; put it in quotes; `b` is `yes`, and must be of the type boolean",
            ),
            (
                ".spec.replicas: expected numeric (int or float), got string",
                "`spec.replicas` is `string`, and must be of the type numeric (int or float)",
            ),
            (
                ".spec.env: duplicate entries for key [name=\"A\"]",
                "`spec.env`: duplicate entries for key [name=\"A\"]",
            ),
        ];
        for (fields, expected) in table {
            let message = format!("{START}web/app; apps/v1, Kind=Deployment): {fields}");
            assert_eq!(problem(&message).unwrap(), expected);
        }
        let secret = format!(
            "{START}web/app; /v1, Kind=Secret): .stringData.pin: expected string, got &value.valueUnstructured{{Value:8000}}"
        );
        assert_eq!(
            problem(&secret).unwrap(),
            "`stringData.pin` is of another type, and must be of the type string; put it in quotes"
        );
        assert_eq!(problem("etcd is away"), None);
    }
}
