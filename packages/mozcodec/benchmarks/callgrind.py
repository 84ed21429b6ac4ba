"""What Valgrind's callgrind counts, by function, and the extension module with the names of its functions."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
INSTRUCTIONS, DATA_MISSES, MISPREDICTED = "Ir", ("D1mr", "D1mw"), ("Bcm", "Bim")


@dataclass
class Counts:
    """Numbers of events, in all or of a function."""

    instructions: int = 0
    mispredicted: int = 0
    misses: int = 0

    def add(self, events: dict[str, int]) -> None:
        self.instructions += events[INSTRUCTIONS]
        self.mispredicted += sum(events[key] for key in MISPREDICTED)
        self.misses += sum(events[key] for key in DATA_MISSES)

    def cells(self, unit: float) -> tuple[str, ...]:
        return f"{self.instructions / unit:.1f}", f"{self.mispredicted / unit:.3f}", f"{self.misses / unit:.3f}"


def parse(text: str) -> tuple[str, dict[str, Counts]]:
    """Return the label of a file of callgrind, and the counts of each function alone, without those that it calls."""
    label = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
    events = re.search(r"^events: (.*)$", text, re.MULTILINE)
    found: dict[str, Counts] = {}
    function, called = "", False
    for line in text.splitlines():
        if line.startswith("fn="):
            function = line[3:].split("'")[0].split(".")[0]
        elif line.startswith("calls="):
            called = True  # the next line has the counts of what is called
        elif line[:1] in tuple("0123456789+-*"):
            if not called:
                numbers = [int(word) for word in line.split()[1:]]
                names = events[1].split() if events else []
                numbers += [0] * (len(names) - len(numbers))
                found.setdefault(function, Counts()).add(dict(zip(names, numbers, strict=True)))
            called = False
    return label[1] if label else "", found


def unstripped() -> Path | None:
    """Return the extension module as it was linked, with the names of its functions; None if it is not there.

    The installer strips its copy, so that the one here is the same only if it is equal without its names.
    """
    installed = Path(importlib.util.find_spec("mozcodec._mozjpeg").origin)  # type: ignore[union-attr, arg-type]
    for built in PACKAGE.glob("build/*/" + installed.name):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "stripped.so"
            shutil.copy(built, copy)
            subprocess.run(["strip", copy], check=True)
            if copy.read_bytes() == installed.read_bytes():
                return built
    return None


def load_unstripped(path: str) -> None:
    """Import that file as ``mozcodec._mozjpeg``, before mozcodec is imported."""
    spec = importlib.util.spec_from_file_location("mozcodec._mozjpeg", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mozcodec._mozjpeg"] = module
    spec.loader.exec_module(module)
