"""Validate SBOMs against their formats: CycloneDX 1.6 by its schema, SPDX 2.3 by its own tools.

usage: check.py FILE...
"""

import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def cyclonedx(path: pathlib.Path) -> list[str]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    return [str(error)] if error else []


def spdx(path: pathlib.Path) -> list[str]:
    try:
        document = parse_file(str(path))
    except SPDXParsingError as error:
        return error.get_messages()
    return [message.validation_message for message in validate_full_spdx_document(document)]


problems = []
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    check = cyclonedx if name.endswith(".cdx.json") else spdx
    problems += [f"{name}: {problem}" for problem in check(path)]
print("\n".join(problems) or f"{len(sys.argv) - 1} valid files")
sys.exit(1 if problems else 0)
