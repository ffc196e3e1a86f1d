"""Azure Resource Manager's resources, as far as fake-azure responds with them, as JSON Schema.

The source is the models of Microsoft's own SDK for Python, which are generated from azure-rest-api-specs; a version of the
package stands for a version of the API:

    python3 -m venv venv && venv/bin/pip install azure-mgmt-containerservice==40.2.0 azure-mgmt-containerregistry==15.0.0
    venv/bin/python extract.py .
"""

import datetime
import importlib
import json
import pathlib
import re
import sys
import types
import typing

# The file, the package, and the models that are answers or requests.
FILES = [
    (
        "container-service-2025-10-01.json",
        "azure.mgmt.containerservice.models",
        ["ManagedCluster", "CredentialResults", "RunCommandRequest", "RunCommandResult", "ErrorResponse"],
    ),
    ("container-registry-2025-11-01.json", "azure.mgmt.containerregistry.models", ["Registry"]),
]

PLAIN = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "long": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "iso-8601": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "bytearray": {"type": "string"},
    "object": {},
}
PYTHON = {
    str: PLAIN["str"],
    int: PLAIN["int"],
    float: PLAIN["float"],
    bool: PLAIN["bool"],
    bytes: PLAIN["bytearray"],
    datetime.datetime: PLAIN["iso-8601"],
    datetime.date: PLAIN["date"],
    datetime.time: PLAIN["str"],
    typing.Any: {},
}


class Extract:
    def __init__(self, package):
        self.models = importlib.import_module(package)
        self.defs = {}

    def ref(self, model):
        name = model.__name__
        if name not in self.defs:
            self.defs[name] = {}
            self.defs[name] = self.generated(model) if hasattr(model, "_attribute_map") else self.declared(model)
        return {"$ref": f"#/$defs/{name}"}

    # A model whose fields stand in a table: `properties.exitCode` is a field of an object inside.
    def generated(self, model):
        schema = new_object()
        for attribute, field in model._attribute_map.items():
            *path, last = (part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", field["key"]))
            inner = schema
            for part in path:
                inner = inner["properties"].setdefault(part, new_object())
            inner["properties"][last] = self.named(field["type"])
            if getattr(model, "_validation", {}).get(attribute, {}).get("required") and not path:
                schema["required"].append(last)
        return schema

    def named(self, kind):
        if kind in PLAIN:
            return PLAIN[kind]
        if kind[0] == "[":
            return {"type": "array", "items": self.named(kind[1:-1])}
        if kind[0] == "{":
            return {"type": "object", "additionalProperties": self.named(kind[1:-1])}
        return self.ref(getattr(self.models, kind))

    # A model whose fields are declared with their types.
    def declared(self, model):
        schema = new_object()
        module = sys.modules[model.__module__]
        hints = typing.get_type_hints(model, {**vars(module), "_models": self.models})
        model()  # the names on the wire are known after the first instance
        for attribute, field in model._attr_to_rest_field.items():
            schema["properties"][field._rest_name] = self.typed(hints[attribute])
        return schema

    def typed(self, hint):
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            known = [a for a in arguments if a is not type(None) and a is not str]
            return self.typed(known[0]) if known else PLAIN["str"]
        if origin is list:
            return {"type": "array", "items": self.typed(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.typed(arguments[1])}
        if hint in PYTHON:
            return PYTHON[hint]
        if issubclass(hint, str):  # an enumeration: the values that are known
            return {"enum": [value.value for value in hint]}
        return self.ref(hint)


def new_object():
    return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def main(folder):
    for file, package, names in FILES:
        extract = Extract(package)
        for name in names:
            extract.ref(getattr(extract.models, name))
        text = json.dumps({"$defs": extract.defs}, indent=1, sort_keys=True)
        (pathlib.Path(folder) / file).write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
