"""The commands ``mozcodec identify`` and ``mozcodec forensics``."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._errors import JpegError
from .._files import bytes_of, write_whole
from .._reading import read_source
from .._switches import in_switches
from .double import read_luma
from .ghosts import ghosts
from .grids import grid
from .summary import encoder_lines, identification, report, report_lines


def run_identify(files: Sequence[str], as_json: bool) -> int:
    """Print the encoder of each file; return the exit status, 1 where a file failed."""
    return _run(files, as_json, lambda data, _: identification(data), encoder_lines)


def run_report(files: Sequence[str], as_json: bool, maps: Path | None, limits: dict[str, Any] | None = None) -> int:
    """Print everything of each file, and write its maps to the folder *maps*; return the exit status."""
    names = [Path(name).name for name in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if maps is not None and twice:
        raise ValueError(f"-maps: two files are named {twice[0]}, the maps of one would replace those of the other")

    def found_in(data: bytes, name: str) -> dict[str, Any]:
        found = report(data, **(limits or {}))
        found["not_analysed"] = {key: in_switches(JpegError(text)) for key, text in found["not_analysed"].items()}
        if maps is not None and found["ghosts"] is not None:
            maps.mkdir(parents=True, exist_ok=True)
            luma = read_luma(data, **(limits or {}))
            for kind, pixels in (("ghosts", ghosts(luma).picture()), ("grid", grid(luma).picture())):
                write_whole(maps / f"{Path(name).name}.{kind}.png", bytes_of(pixels, ".png"))
        return found

    return _run(files, as_json, found_in, report_lines)


def _run(
    files: Sequence[str],
    as_json: bool,
    function: Callable[[bytes, str], dict[str, Any]],
    lines_of: Callable[[dict[str, Any]], list[str]],
) -> int:
    failed = 0
    for name in files:
        try:
            found = function(read_source(name), name)
        except (JpegError, OSError, MemoryError) as error:
            print(f"{name}: {type(error).__name__}: {in_switches(error)}", file=sys.stderr)
            failed = 1
            continue
        if as_json:
            print(json.dumps({"file": name, **found}), flush=True)
        else:
            print("\n  ".join([name, *lines_of(found)]), flush=True)
    return failed
