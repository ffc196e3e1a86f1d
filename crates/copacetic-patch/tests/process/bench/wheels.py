"""Write wheels of small packages into a directory: wheels.py DIRECTORY."""

import sys
import zipfile
from pathlib import Path

PACKAGES = [
    ("vulnpy", "1.0.0", []),
    ("vulnpy", "1.0.2", []),
    ("vulnpy", "2.0.0", []),
    # Conflicts with the fixed version of the other one.
    ("strict", "1.0", ["vulnpy<1.0.1"]),
]


def wheel(directory: Path, name: str, version: str, requires: list[str]) -> None:
    """Write one wheel (packaging.python.org/specifications/binary-distribution-format)."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {other}" for other in requires]
    files = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fixture\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


directory = Path(sys.argv[1])
directory.mkdir(parents=True)
for package in PACKAGES:
    wheel(directory, *package)
