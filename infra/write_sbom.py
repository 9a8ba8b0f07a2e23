"""Write what an image holds as CycloneDX 1.6, with licences: `python write_sbom.py NAME FILE`, in the image itself.

Python's packages are read from their own metadata, those of Debian from dpkg's. Equal images give equal bytes.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

DPKG = Path("/var/lib/dpkg/status")
COPYRIGHT = Path("/usr/share/doc")
CLASSIFIER = "License :: "
LONGEST_NAME = 80
UNKNOWN = {"name": "unknown"}


def main(name: str, file: Path, dpkg: Path = DPKG) -> None:
    """Write the bill of materials of this environment."""
    found = {each["purl"]: each for each in (*map(_python, distributions()), *_debian(dpkg))}
    components = [found[purl] for purl in sorted(found)]
    image: dict[str, Any] = {"type": "container", "name": name, "bom-ref": name}
    if base := os.environ.get("PYTHON_IMAGE"):
        image["properties"] = [{"name": "personsearch:base", "value": base}]
    content = {"metadata": {"component": image}, "components": components}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    file.write_text(json.dumps(head | content, indent=1) + "\n", encoding="utf-8")


def _python(package: Distribution) -> dict[str, Any]:
    name = package.metadata["Name"].lower().replace("_", "-").replace(".", "-")
    return _component(name, package.version, f"pkg:pypi/{name}@{quote(package.version)}", _licences(package))


def _licences(package: Distribution) -> list[dict[str, Any]]:
    """As SPDX where a package says so, else its own words."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return [{"expression": expression}]
    names = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or [] if each.startswith(CLASSIFIER)]
    if not names and (words := (told.get("License") or "").strip()):
        names = [words.splitlines()[0][:LONGEST_NAME]]  # some give the whole text
    return [{"license": {"name": each}} for each in sorted(set(names))] or [{"license": UNKNOWN}]


def _debian(status: Path) -> Iterator[dict[str, Any]]:
    """The installed packages of Debian; their licences are the files that the packages bring."""
    if not status.is_file():
        return
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}"
            licence = {"name": f"see {COPYRIGHT / name / 'copyright'}"}
            yield _component(name, version, purl, [{"license": licence}])


def _component(name: str, version: str, purl: str, licences: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": licences,
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
