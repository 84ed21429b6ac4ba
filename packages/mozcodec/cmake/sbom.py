"""Write the SBOM in the wheel (CycloneDX, PEP 770): ``python sbom.py VERSION SOURCE OUTPUT.json``. CMake runs it.

SOURCE is where mozjpeg comes from: ``pinned`` (mozjpeg-source.txt), ``folder`` (MOZCODEC_MOZJPEG_SOURCE) or
``system``, an installed library, which is not in the wheel. The same arguments give the same bytes.
"""

import json
import re
import sys
from pathlib import Path

# what the wheel holds of others, by the folder of its licences; REUSE.toml and the License-Expression say the same
WORKS = {"jpegli": "BSD-3-Clause", "mozjpeg": "IJG AND BSD-3-Clause AND Zlib", "ssimulacra2": "BSD-3-Clause"}
PIN = re.compile(r"mozjpeg (\d[\d.]*\d)\.\n(\S+)==(\S+) --hash=sha256:([0-9a-f]{64})")


def works(source: str) -> list[dict[str, object]]:
    """Return the works of others, mozjpeg with its version and, if it is the pinned one, the hash of its source."""
    found: list[dict[str, object]] = []
    for name, licence in WORKS.items():
        if name == "mozjpeg" and source == "system":
            continue
        work: dict[str, object] = {"type": "library", "bom-ref": name, "name": name}
        work["licenses"] = [{"expression": licence}]
        if name == "mozjpeg":
            text = (Path(__file__).parent / "mozjpeg-source.txt").read_text(encoding="utf-8")
            work["version"], project, release, sha256 = PIN.search(text).groups()  # type: ignore[union-attr]
            if source == "pinned":
                work["externalReferences"] = [{
                    "type": "distribution", "url": f"pkg:pypi/{project}@{release}",
                    "comment": "the source of the build",
                    "hashes": [{"alg": "SHA-256", "content": sha256}],
                }]  # fmt: skip
        found.append(work)
    return found


def main(version: str, source: str, output: str) -> None:
    if source not in ("pinned", "folder", "system"):
        raise SystemExit(f"sbom.py: the source of mozjpeg must be pinned, folder or system, got {source!r}")
    components = works(source)
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {
            "type": "library", "bom-ref": "mozcodec", "name": "mozcodec", "version": version,
            "purl": f"pkg:pypi/mozcodec@{version}", "licenses": [{"license": {"id": "MIT"}}],
        }},
        "components": components,
        "dependencies": [{"ref": "mozcodec", "dependsOn": [work["bom-ref"] for work in components]}],
    }  # fmt: skip
    Path(output).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
