#!/usr/bin/env python3
"""Cut the operations that testkit answers out of GitHub's OpenAPI description.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    crates/fake-github/schemas/extract.py package/generated/api.github.com.json

Writes one JSON Schema per operation into `github/`, and what they share into `github/components.json`.
Prose and examples are left out; OpenAPI's `nullable` becomes JSON Schema's `null`.
"""

import json
import pathlib
import sys

OPERATIONS = [
    "code-scanning/upload-sarif",
    "code-scanning/get-sarif",
    "code-scanning/list-recent-analyses",
    "code-scanning/get-analysis",
    "code-scanning/list-alerts-for-repo",
    "code-scanning/update-alert",
    "issues/list-comments",
    "issues/create-comment",
    "issues/get-comment",
    "issues/update-comment",
    "issues/list-for-repo",
    "issues/create",
    "issues/get",
    "issues/update",
    "pulls/list",
    "pulls/list-files",
    "pulls/get",
    "repos/get",
    "repos/list-deployments",
    "repos/create-deployment",
    "repos/get-deployment",
    "repos/list-deployment-statuses",
    "repos/create-deployment-status",
    "dependency-graph/create-repository-snapshot",
    "orgs/create-artifact-deployment-record",
    "orgs/set-cluster-deployment-records",
    "orgs/create-artifact-storage-record",
]
ERRORS = ["basic-error", "validation-error", "validation-error-simple"]
PROSE = {"description", "example", "examples", "title", "x-github", "externalDocs", "deprecated"}
FOLDER = pathlib.Path(__file__).parent


def plain(schema, of_names=False):
    """A schema without prose. Below `properties` a key is a name, whatever it is called."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if of_names:
        return {name: plain(value) for name, value in schema.items()}
    nullable = schema.get("nullable", False)
    kept = {
        key: plain(value, key in ("properties", "patternProperties"))
        for key, value in schema.items()
        if key not in PROSE and key != "nullable"
    }
    # GitHub answers an address that it was not given with "", which is none.
    if kept.pop("default", None) == "":
        kept.pop("format", None)
    if "$ref" in kept:
        kept["$ref"] = "components.json#/$defs/" + kept["$ref"].rsplit("/", 1)[1]
    if nullable:
        if isinstance(kept.get("type"), str):
            kept["type"] = [kept["type"], "null"]
            if "enum" in kept and None not in kept["enum"]:
                kept["enum"].append(None)
        else:
            kept = {"anyOf": [kept, {"type": "null"}]}
    return kept


def references(schema):
    if isinstance(schema, list):
        return {name for item in schema for name in references(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rsplit("/", 1)[1]} if isinstance(schema.get("$ref"), str) else set()
    return own | {name for value in schema.values() for name in references(value)}


def body(holder, api):
    if "$ref" in holder:
        holder = api["components"]["responses"][holder["$ref"].rsplit("/", 1)[1]]
    content = holder.get("content", {})
    return content.get("application/json", {}).get("schema")


def main():
    api = json.loads(pathlib.Path(sys.argv[1]).read_text())
    found = {
        operation["operationId"]: (method, path, operation)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    used = set(ERRORS)
    for name in OPERATIONS:
        method, path, operation = found[name]
        schemas = {"method": method.upper(), "path": path}
        if request := body(operation.get("requestBody", {}), api):
            schemas["request"] = plain(request)
        schemas["responses"] = {
            status: plain(schema)
            for status, answer in operation["responses"].items()
            if (schema := body(answer, api))
        }
        used |= references(schemas)
        write(name.replace("/", "-"), schemas)
    components, todo = {}, used
    while todo:
        name = todo.pop()
        components[name] = plain(api["components"]["schemas"][name])
        todo |= references(components[name]) - components.keys()
    write("components", {"$defs": dict(sorted(components.items()))})


def write(name, content):
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text)


main()
