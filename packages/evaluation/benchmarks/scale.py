"""CPU time and peak memory of `evaluation metrics` and the size of the page, on large synthetic tables of scores.

    python scale.py OUT [--results docs/results.md] [--shape methods] [--intervals bootstrap]

Each command runs in a process of its own; its peak is the maximum resident set size that the kernel reports. Tables are
written to OUT once and kept, results are appended to the table below the heading in the file RESULTS.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tables import Shape, write

SHAPES = {
    # memory over the number of methods, about 15,600 rows each
    "methods-1": Shape(pairs=1950, methods=1, real_videos=3, frames=1, conditions=1, val_pairs=200),
    "methods-10": Shape(pairs=600, methods=10, real_videos=3, frames=1, conditions=1, val_pairs=60),
    "methods-100": Shape(pairs=76, methods=100, real_videos=3, frames=1, conditions=1, val_pairs=8),
    "methods": Shape(pairs=19, methods=411, real_videos=3, frames=1, conditions=1, val_pairs=2),      # 15,732 rows
    "million": Shape(pairs=98, methods=50, real_videos=1, frames=20, conditions=5, val_pairs=10),     # 999,600 rows
    "large": Shape(pairs=980, methods=50, real_videos=1, frames=20, conditions=5, val_pairs=98),      # 9,996,000 rows
}
HEADING = "## Large tables of scores"
COLUMNS = "| rows | methods | conditions | intervals | CPU s | peak MiB | page MB |\n|---|---|---|---|---|---|---|"


def measured(*command: str) -> tuple[float, int]:
    """Run a command; return its CPU seconds and its peak memory in MiB."""
    code = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "unit = 1 if sys.platform == 'darwin' else 1024; "  # of ru_maxrss
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss * unit >> 20); sys.exit(code)"
    )
    found = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    seconds, peak = found.stdout.split()
    return float(seconds), int(peak)


def line(folder: Path, name: str, intervals: str) -> str:
    """Return the row of the table for one shape."""
    shape = SHAPES[name]
    scores, out = folder / f"{name}.csv", folder / f"{name}-{intervals}"
    if not scores.exists():
        write(scores.with_suffix(".part"), shape).replace(scores)
    results = ["--tables", str(out / "tables"), "--quiet", "--intervals", intervals]
    seconds, peak = measured("evaluation", "metrics", str(scores), str(out / "metrics.json"), *results)
    measured("evaluation", "report", str(out / "report"), "--metrics", str(out / "metrics.json"), "--scores",
             str(scores), "--tables", str(out / "tables"))  # fmt: skip
    page = (out / "report" / "index.html").stat().st_size / 1e6
    return (
        f"| {shape.rows:,} | {shape.methods} | {shape.conditions} | {intervals} | {seconds:.1f} | {peak} | {page:.2f} |"
    )


def add(path: Path, row: str) -> None:
    """Put *row* below the table in *path*, in place of an earlier one of the same table and intervals."""
    text = path.read_text(encoding="utf-8")
    if HEADING not in text:
        text = f"{text.rstrip()}\n\n{HEADING}\n\n{COLUMNS}\n"
    before, _, after = text.partition(COLUMNS + "\n")
    rows, rest = [], after.split("\n")
    while rest and rest[0].startswith("|"):
        rows.append(rest.pop(0))
    same = row.split("|")[1:5]
    rows = [other for other in rows if other.split("|")[1:5] != same] + [row]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(f"{before}{COLUMNS}\n" + "\n".join([*rows, *rest]), encoding="utf-8")
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--results", type=Path, help="Markdown file for the table")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    parser.add_argument("--intervals", choices=("jackknife", "bootstrap"), default="jackknife")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.shape or SHAPES:
        row = line(options.out, name, options.intervals)
        print(row, flush=True)
        if options.results:
            add(options.results, row)


if __name__ == "__main__":
    main()
