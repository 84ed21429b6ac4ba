"""``make wheels``: build sdist and wheel of each package, check them, and install each alone.

Runs in the environment of requirements-release.txt. The wheels are built from the sdists, so these are complete. Alone
in its environment, each package runs the Python examples of its README. Beside each wheel, an SBOM (CycloneDX) lists
what is installed with it, and what the wheel holds of others' work, as the SBOM in the wheel says (cmake/sbom.py).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mozcodec", "evaluation", "detector")
NEEDED = {"detector": ("mozcodec", "evaluation")}  # of ours


def run(*command: object, cwd: Path = ROOT) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


def built(package: str, out: Path, *options: str) -> list[Path]:
    """Return sdist and wheel of *package*, built in *out* from a copy of its folder without build files.

    *options* are those of ``python -m build``; with ``--sdist`` there is no wheel.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / package
        ignored = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", "*.so", ".hypothesis")
        shutil.copytree(ROOT / "packages" / package, source, ignore=ignored)
        run(sys.executable, "-m", "build", *options, "--outdir", out, source)
    suffixes = (".tar.gz",) if "--sdist" in options else (".tar.gz", ".whl")
    return [next(out.glob(f"{package}-*{suffix}")) for suffix in suffixes]


def check(sdist: Path, wheel: Path) -> None:
    run("twine", "check", "--strict", sdist, wheel)
    run("check-wheel-contents", wheel)
    if not wheel.name.endswith("-none-any.whl"):
        run("auditwheel", "show", wheel)


def install_alone(package: str, wheels: Path) -> None:
    """Install *package* from *wheels* in an empty environment, try it there, and write its SBOM beside the wheel.

    Wheels of ours are given by path: on the package index other projects have the names detector and evaluation.
    """
    ours = [next(wheels.glob(f"{name}-*.whl")) for name in (package, *NEEDED.get(package, ()))]
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=False)
        python = Path(scratch) / "bin" / "python"
        run("uv", "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt",
            *ours)  # fmt: skip
        run(python, "-c", f"import {package}", cwd=Path(scratch))
        run(python.with_name(package), "--help", cwd=Path(scratch))
        run(python, "-m", "doctest", ROOT / "packages" / package / "README.md", cwd=Path(scratch))
        frozen = Path(scratch) / "installed.txt"
        listed = subprocess.run(["uv", "pip", "freeze", "--python", python], check=True, capture_output=True, text=True)
        lines = [line for line in listed.stdout.splitlines() if not re.match(rf"({'|'.join(PACKAGES)}) @", line)]
        frozen.write_text("\n".join(lines) + "\n", encoding="utf-8")
        run("cyclonedx-py", "-r", "-i", frozen, "--format", "json", "--force", "-o", wheels / f"{package}.cdx.json")
        complete(wheels / f"{package}.cdx.json", package, ours[0])


def complete(sbom: Path, package: str, wheel: Path) -> None:
    """Add to the file *sbom* the wheel that it describes, and the works of others that the wheel's own SBOM lists.

    SystemExit if that SBOM leaves out a work of which the wheel has the licences, or if the wheel's licence lacks one
    of a work.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
        inner = [json.loads(archive.read(name)) for name in names if ".dist-info/sboms/" in name]
    expression = re.search(r"^License-Expression: (.*)$", metadata, re.M)[1]  # type: ignore[index]
    works = [work for one in inner for work in one["components"]]
    carried = {found[1] for name in names if (found := re.search(r"/licenses/licenses/([^/]+)/", name))}
    if left_out := sorted(carried - {work["name"] for work in works}):
        raise SystemExit(f"wheels: the SBOM in {wheel.name} leaves out {', '.join(left_out)}, whose licences are there")
    for work in works:
        licences = work["licenses"][0]["expression"]
        if not set(licences.split(" AND ")) <= set(expression.split(" AND ")):
            raise SystemExit(f"wheels: the licence of {wheel.name}, {expression}, lacks {work['name']}'s, {licences}")
    document = json.loads(sbom.read_text(encoding="utf-8"))
    version = wheel.name.split("-")[1]
    document["metadata"]["component"] = {
        "type": "library", "bom-ref": package, "name": package, "version": version,
        "licenses": [{"expression": expression}],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
    }  # fmt: skip
    document["components"] += works
    sbom.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def publish(tag: str, files: dict[str, list[Path]], folder: Path) -> None:
    """Copy the files of the release *tag* to *folder*; mozcodec's wheels come from cibuildwheel."""
    package, _, version = tag.partition("-")
    if package not in PACKAGES:
        raise SystemExit(f"wheels: {tag!r} is not a release; tags are PACKAGE-VERSION, such as mozcodec-0.2.0")
    sdist, wheel = files[package]
    if sdist.name != f"{package}-{version}.tar.gz":
        raise SystemExit(f"wheels: the tag {tag} does not match {sdist.name}")
    folder.mkdir(parents=True)
    for path in (sdist,) if package == "mozcodec" else (sdist, wheel):
        shutil.copy2(path, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--publish", metavar="TAG", help="copy the files of this release to OUT/publish")
    parser.add_argument("--only", choices=PACKAGES, action="append", help="only this package")
    options = parser.parse_args()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    chosen = options.only or PACKAGES
    packages = [name for name in PACKAGES if any(name in (one, *NEEDED.get(one, ())) for one in chosen)]
    files = {package: built(package, out) for package in packages}
    for package in packages:
        check(*files[package])
    for package in packages:
        install_alone(package, out)
    if options.publish:
        publish(options.publish, files, out / "publish")
    print(f"wheels: {', '.join(path.name for pair in files.values() for path in pair)} in {out}")


if __name__ == "__main__":
    main()
