"""Run the test suites of five other libraries with mozcodec in their place, and write the table of the results.

    python packages/mozcodec/benchmarks/peer_suites.py                        # all, fetched into a temporary folder
    python packages/mozcodec/benchmarks/peer_suites.py simplejpeg jpeglib --sources FOLDER

The suites run as they are, through the adapters in ``peers/``. Each comes from its repository, at the commit in
``SUITES``, into a temporary folder; with ``--sources`` from clones of these names in FOLDER. None of their files is
kept. The libraries themselves must be installed where their tests or adapters import them (``pip install -r
peers/requirements.txt``). The exit status is 1 if a test fails that ``EXPLAINED`` does not list.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADAPTERS = HERE / "peers"
PAGE = HERE / "peers.md"
START, END = "<!-- written by peer_suites.py -->", "<!-- end of what peer_suites.py wrote -->"


@dataclass(frozen=True)
class Suite:
    """The tests of one library: repository, commit, the paths to take, the tests to run."""

    name: str
    repository: str
    commit: str
    paths: tuple[str, ...]
    tests: tuple[str, ...]
    plugin: str | None = None
    select: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


_PILLOW = ("python-pillow/Pillow", "4e5f09f533dbd0d87d39951f48b62f4d1a421cba")
_PILLOW_FILES = ("Tests/*.py", "Tests/images/*", "Tests/icc/*")
SUITES = (
    Suite("simplejpeg", "jfolz/simplejpeg", "43c07cfccf7b8caf5b83453d4502f082f376cfa4", ("test/*",), ("test",)),
    Suite(
        "PyTurboJPEG", "lilohuang/PyTurboJPEG", "dc10d6d0a64c802f7ebe73ecfbc9f1802b5ed958", ("tests/*",), ("tests",)
    ),
    Suite("Pillow, JPEG", *_PILLOW, _PILLOW_FILES, ("Tests/test_file_jpeg.py",), "pillow_plugin"),
    Suite(
        "Pillow, JPEG, mozjpeg's defaults",
        *_PILLOW,
        _PILLOW_FILES,
        ("Tests/test_file_jpeg.py",),
        "pillow_plugin",
        environment={"MOZCODEC_PEER_MOZJPEG": "1"},
    ),
    Suite("Pillow, MPO", *_PILLOW, _PILLOW_FILES, ("Tests/test_file_mpo.py",), "pillow_plugin"),
    Suite(
        "Pillow, MPO, files optimised first",
        *_PILLOW,
        _PILLOW_FILES,
        ("Tests/test_file_mpo.py",),
        "pillow_plugin",
        environment={"MOZCODEC_PEER_OPTIMIZE": "1"},
    ),
    Suite(
        "imagecodecs, JPEG",
        "cgohlke/imagecodecs",
        "883b29058e3500b4c2c41d16b178576d58145903",
        ("tests/*.py", "tests/data/*.npy", "tests/data/*.bin", "tests/data/ljpeg/*"),
        ("tests/test_imagecodecs.py",),
        "imagecodecs_plugin",
        "test_jpeg_ or test_jpeg8 or test_jpeg12 or test_ljpeg or test_jpegsof3 or test_mozjpeg",
    ),
    Suite(
        "jpeglib",
        "martinbenes1996/jpeglib",
        "039804ffb96d30cae7c00d76c4c029f4caa73af1",
        ("tests/*",),
        ("tests",),
        "jpeglib_plugin",
        # of the tests that are repeated for 26 versions of libjpeg those of 6b: mozcodec is one
        "6b or not (_7 or _8 or _9 or turbo or mozjpeg)",
    ),
)

DECISION, NOT_APPLICABLE = "decision", "not applicable"
_STRIDES = "mozcodec accepts every stride, broadcast rows included"
_WORDS = "the same refusal in other words"
_NO_EOI = "a file whose only fault is a missing EOI marker is whole: it is decoded with a JpegWarning"
_LOADING = "loading of a TurboJPEG library, which mozcodec does not have"
EXPLAINED: dict[str, dict[str, tuple[str, str]]] = {
    "simplejpeg": {
        "test_decode_truncated": (DECISION, _NO_EOI),
        "test_decode_buffer_insufficient": (NOT_APPLICABLE, _WORDS),
        "test_encode_2d": (DECISION, "mozcodec accepts gray images of two dimensions"),
        "*noncontiguous*": (DECISION, _STRIDES),
        "*broadcast_row*": (DECISION, _STRIDES),
        "test_encode_yuv_missing_*": (NOT_APPLICABLE, _WORDS),
        "test_encode_yuv_1d_*": (NOT_APPLICABLE, _WORDS),
    },
    "PyTurboJPEG": {
        "test_library_loading*": (NOT_APPLICABLE, _LOADING),
        "test_successful_library_loading*": (NOT_APPLICABLE, _LOADING),
        "test_version_detection*": (NOT_APPLICABLE, _LOADING),
        "test_decode_truncated_jpeg_header_very_short": (
            NOT_APPLICABLE,
            "wants a warning or an error, and with pytest 8 and later fails on the error, which mozcodec raises",
        ),
    },
    "Pillow, JPEG": {
        "test_zero[[]*": (NOT_APPLICABLE, "the refusal is that of Pillow's class for encoders in Python"),
        "test_dpi*cmyk*": (DECISION, "the density is a field of JFIF, which does not have CMYK"),
        "test_truncated_jpeg_throws_oserror": (DECISION, _NO_EOI),
        "test_separate_tables": (DECISION, "mozcodec reads abbreviated streams (`tables=`) and does not write them"),
    },
    "Pillow, MPO": {
        "test_parallax": (NOT_APPLICABLE, "its file is missing from the clone"),
    },
    "jpeglib": {
        "test_unquantized*": (DECISION, "mozcodec does not give coefficients before quantization"),
        "test_mismatch_baseline*": (NOT_APPLICABLE, "compares versions of libjpeg, and there is one"),
        "test_qt_changes*": (NOT_APPLICABLE, "compares versions of libjpeg, and there is one"),
        "TestPerformance.*": (NOT_APPLICABLE, "limits of wall time (0.5 s an image) that a busy machine exceeds"),
        "test_libjpeg_testimages*": (NOT_APPLICABLE, "libjpeg 7 and later upsample and downsample by the DCT"),
        "test_equal_baseline*": (NOT_APPLICABLE, "compares versions of libjpeg, and there is one"),
        "test_fancy_downsampling": (NOT_APPLICABLE, "an option of libjpeg 7 and later"),
    },
}
EXPLAINED["Pillow, JPEG, mozjpeg's defaults"] = {
    **EXPLAINED["Pillow, JPEG"],
    "test_rgb": (DECISION, "mozjpeg's tables at quality 75 change an RGB file by 13.8 levels, the limit is 12"),
    "test_progressive*": (DECISION, "mozjpeg's files are progressive unless progressive=False is given"),
    "test_restart_markers*": (DECISION, "each scan of a progressive file has its own restart markers"),
    "test_qtables": (DECISION, "like cjpeg, progressive files may have entries above 255"),
    "test_save_low_quality_baseline_qtables": (DECISION, "like cjpeg, progressive files may have entries above 255"),
}
EXPLAINED["Pillow, MPO, files optimised first"] = EXPLAINED["Pillow, MPO"]
"""By suite: patterns of the names of tests, whether they fail by decision or do not apply, and why."""


# ---- running --------------------------------------------------------------------------------------------------------


def _wanted(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def _git(repository: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=True).stdout


def fetch(suite: Suite, folder: Path, sources: Path | None) -> None:
    """Write the files of the suite's tests into *folder*. Files that a clone lacks are left out."""
    if sources is None:
        clone = folder / ".clone"
        subprocess.run(["git", "init", "-q", str(clone)], check=True)
        address = f"https://github.com/{suite.repository}"
        _git(clone, "fetch", "-q", "--depth", "1", address, suite.commit)
    else:
        names = (suite.repository.replace("/", "+"), suite.repository.split("/")[1])
        found = [sources / name / more for name in names for more in ("", "repo") if (sources / name / more).is_dir()]
        if not found:
            raise SystemExit(f"{sources} has no clone of {suite.repository}: {' or '.join(names)}")
        clone = found[-1]
    for path in _git(clone, "ls-tree", "-r", "-z", "--name-only", suite.commit).decode().split("\0"):
        if _wanted(path, suite.paths):
            command = ["git", "-C", str(clone), "cat-file", "blob", f"{suite.commit}:{path}"]
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode == 0:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(done.stdout)


def run(suite: Suite, folder: Path) -> list[tuple[str, str, str]]:
    """Return name, outcome ("passed", "failed", "skipped") and message of each test."""
    report = folder / "report.xml"
    command = [sys.executable, "-P", "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command += ["--rootdir", ".", "--junitxml", str(report), *suite.tests]
    command += ["-p", suite.plugin] if suite.plugin else []
    command += ["-k", suite.select] if suite.select else []
    paths = [str(ADAPTERS), str(folder / Path(suite.tests[0]).parts[0]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **suite.environment}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if not report.exists():
        raise SystemExit(f"{suite.name}: pytest wrote no report\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    results = []
    for case in ET.parse(report).getroot().iter("testcase"):
        outcome, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                outcome = "skipped" if child.tag == "skipped" else "failed"
                message = (child.get("message") or "").splitlines()[0] if child.get("message") else child.tag
        results.append((f"{case.get('classname')}.{case.get('name')}".rsplit("::", 1)[-1], outcome, message))
    return results


# ---- reporting ------------------------------------------------------------------------------------------------------


def _explanation(suite: Suite, name: str) -> tuple[str, str] | None:
    for pattern, explanation in EXPLAINED.get(suite.name, {}).items():
        if fnmatch.fnmatchcase(name, f"*{pattern}"):
            return explanation
    return None


def summarize(suite: Suite, results: list[tuple[str, str, str]]) -> tuple[Counter[str], dict[tuple[str, str], int]]:
    """Return the number of tests by outcome, and by kind and reason of those that do not pass."""
    counts: Counter[str] = Counter()
    reasons: dict[tuple[str, str], int] = Counter()
    for name, outcome, message in results:
        if outcome == "passed":
            counts["passed"] += 1
            continue
        explained = _explanation(suite, name)
        if outcome == "skipped" and explained is None:
            explained = (NOT_APPLICABLE, f"skipped by the suite: {message}")
        kind, reason = explained or ("failed", f"`{name}`: {message}")
        counts[kind] += 1
        reasons[kind, reason] += 1
    return counts, reasons


def table(done: list[tuple[Suite, Counter[str], dict[tuple[str, str], int]]]) -> str:
    lines = [
        "| suite, at commit | tests | pass | fail | other by decision | not applicable |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for suite, counts, _ in done:
        cells = (counts["passed"], counts["failed"], counts[DECISION], counts[NOT_APPLICABLE])
        row = " | ".join(map(str, (sum(cells), *cells)))
        lines.append(f"| {suite.name}, `{suite.commit[:7]}` | {row} |")
    for suite, _, reasons in done:
        if reasons:
            lines += ["", f"**{suite.name}**", ""]
            lines += [f"- {kind}, {count}: {reason}" for (kind, reason), count in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def write(page: Path, text: str) -> None:
    """Replace what stands between the two marks of *page*."""
    before, _, rest = page.read_text().partition(START)
    temporary = page.with_suffix(".tmp")
    temporary.write_text(f"{before}{START}\n\n{text}\n{END}{rest.partition(END)[2]}")
    temporary.replace(page)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of suites, or beginnings of names; default all")
    parser.add_argument("--sources", type=Path, help="folder of clones; default: fetched from their repositories")
    parser.add_argument("--write", action="store_true", help="write the table into peers.md (all suites)")
    args = parser.parse_args()
    chosen = [s for s in SUITES if not args.names or any(s.name.startswith(n) for n in args.names)]
    if args.write and len(chosen) < len(SUITES):
        parser.error("--write needs all suites")
    if not chosen:
        parser.error(f"no such suite; there are {', '.join(s.name for s in SUITES)}")
    done = []
    for suite in chosen:
        with tempfile.TemporaryDirectory(prefix="mozcodec-peers-") as folder:
            fetch(suite, Path(folder), args.sources)
            done.append((suite, *summarize(suite, run(suite, Path(folder)))))
        print(f"{suite.name}: {dict(done[-1][1])}", file=sys.stderr, flush=True)
    text = table(done)
    print(text)
    if args.write:
        write(PAGE, text)
    return 1 if any(counts["failed"] for _, counts, _ in done) else 0


if __name__ == "__main__":
    sys.exit(main())
