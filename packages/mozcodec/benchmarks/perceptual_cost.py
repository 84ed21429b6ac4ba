"""What the perceptual mode costs: CPU time beside the default encode, target searches, memory, SSIMULACRA2.

    python perceptual_cost.py PICTURES [--every N] [--rounds N] [--results FILE]

PICTURES is a folder of PNG files. The mode is timed at the distance where its file has the SSIMULACRA2 of the default
encode (quality 75, 4:2:0), and at distance 1.5, whose files are larger than those of quality 75. The calls of a round
follow each other; a ratio is the median over the rounds, so that another load on the machine meets both. Memory is the
growth of the resident size to its peak in a process of its own (Linux), on an image of about four megapixels.
"""

import argparse
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from marked import commit, put
from numpy.typing import NDArray
from PIL import Image

import mozcodec

Picture = NDArray[np.uint8]
EFFORTS = (0, 1, 2)
SCORES = (60.0, 70.0, 80.0, 90.0)

MEMORY = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
import mozcodec
if not Path("/proc/self/clear_refs").exists():
    sys.exit("the peak of the memory is read on Linux only")
def kilobytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))
image = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
image = np.ascontiguousarray(np.tile(image, (3, 3, 1)))
options = eval(sys.argv[2])
mozcodec.encode(image[:64, :64], **options)
open("/proc/self/clear_refs", "w").write("5")   # forgets the peak
before = kilobytes("VmRSS:")
file = mozcodec.encode(image, **options)
print((kilobytes("VmHWM:") - before) * 1024 / (image.shape[0] * image.shape[1]))
"""


def read(path: Path) -> Picture:
    """Return the pixels, (H, W, 3)."""
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB")))


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _ratios(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median ratio of each to the first."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(_seconds(work))
    first = next(iter(times.values()))
    return {name: statistics.median(x / y for x, y in zip(t, first, strict=True)) for name, t in times.items()}


def _spread(values: list[float], digits: int = 2) -> str:
    mean = math.exp(statistics.fmean(map(math.log, values)))
    return f"{mean:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def encoding(pictures: list[Path], rounds: int) -> Iterator[str]:
    """Yield the table of encoding times."""
    found: dict[str, list[float]] = {}
    for path in pictures:
        image = read(path)
        default = mozcodec.encode(image, 75, subsampling="4:2:0")
        score = mozcodec.ssimulacra2(image, mozcodec.decode(default))
        works: dict[str, Callable[[], object]] = {
            "default": lambda image=image: mozcodec.encode(image, 75, subsampling="4:2:0")  # type: ignore[misc]
        }
        for effort in EFFORTS:
            equal = mozcodec.encode_to_target(image, ssimulacra2=score, effort=effort, subsampling="4:2:0").distance
            for name, distance in (("equal", equal), ("1.5", 1.5)):
                works[f"{effort} {name}"] = lambda image=image, distance=distance, effort=effort: mozcodec.encode(  # type: ignore[misc]
                    image, distance=distance, effort=effort, subsampling="4:2:0"
                )
        for name, ratio in _ratios(works, rounds).items():
            found.setdefault(name, []).append(ratio)
        megapixels = image.shape[0] * image.shape[1] / 1e6
        found.setdefault("s2", []).append(_seconds(works["2 1.5"]) / megapixels)
    yield f"CPU time over the default encode (quality 75, 4:2:0), {len(pictures)} images, {rounds} rounds each"
    yield ""
    yield "| effort | at equal SSIMULACRA2 | at distance 1.5 |"
    yield "|---|---|---|"
    for effort in EFFORTS:
        yield f"| {effort} | {_spread(found[f'{effort} equal'])} | {_spread(found[f'{effort} 1.5'])} |"
    yield ""
    yield f"Effort 2 at distance 1.5: {_spread(found['s2'])} s a megapixel."


def searches(pictures: list[Path]) -> Iterator[str]:
    """Yield the table of target searches."""
    yield "| `ssimulacra2=` (effort 1) | s CPU a megapixel | files made |"
    yield "|---|---|---|"
    for score in SCORES:
        times, counts = [], []
        for path in pictures:
            image = read(path)
            began = time.process_time()
            counts.append(mozcodec.encode_to_target(image, ssimulacra2=score).num_encodings)
            times.append((time.process_time() - began) / (image.shape[0] * image.shape[1] / 1e6))
        yield f"| {score:g} | {_spread(times)} | {statistics.fmean(counts):.1f} ({min(counts)} to {max(counts)}) |"


def memory(path: Path) -> Iterator[str]:
    """Yield the table of memory."""
    yield "| bytes a pixel | 4:2:0, distance 1.5 | 4:4:4, distance 0.5 |"
    yield "|---|---|---|"
    cases = [("default", {"quality": 75, "subsampling": "4:2:0"}, {"quality": 90, "subsampling": "4:4:4"})]
    for effort in EFFORTS:
        small, large = (
            {"distance": d, "effort": effort, "subsampling": s} for d, s in ((1.5, "4:2:0"), (0.5, "4:4:4"))
        )
        cases.append((f"effort {effort}", small, large))
    for name, *both in cases:
        cells = []
        for options in both:
            command = [
                sys.executable,
                *(["-S"] if sys.flags.no_site else []),
                "-P",
                "-c",
                MEMORY,
                str(path),
                repr(options),
            ]
            cells.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        yield f"| {name} | {cells[0]:.0f} | {cells[1]:.0f} |"


def metric(path: Path, rounds: int) -> Iterator[str]:
    """Yield the times of SSIMULACRA2 here and in other packages, from arrays or (where they take only those) files."""
    import tempfile

    image = read(path)
    pixels = mozcodec.decode(mozcodec.encode(image, 75))
    works: dict[str, Callable[[], object]] = {"mozcodec": lambda: mozcodec.ssimulacra2(image, pixels)}
    yield "| SSIMULACRA2 | CPU time, mozcodec = 1 | score |"
    yield "|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        try:
            import ssimulacra2 as other
        except ImportError:
            pass
        else:
            files = [Path(folder) / "a.png", Path(folder) / "b.png"]
            for file, part in zip(files, (image, pixels), strict=True):
                Image.fromarray(part).save(file, compress_level=1)
            works[f"ssimulacra2 {version('ssimulacra2')} (PyPI, from PNG files)"] = lambda: (
                other.compute_ssimulacra2_with_alpha(*map(str, files))
            )
        ratios = _ratios(works, rounds)
        for name, work in works.items():
            yield f"| {name} | {ratios[name]:.1f} | {work():.2f} |"


def about() -> str:
    """Return the conditions of the measurement."""
    try:
        number = version("mozcodec")
    except PackageNotFoundError:
        number = "unknown"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return (
        f"Commit {commit()}, mozcodec {number}, Python {platform.python_version()}, "
        f"{processor}; `python packages/mozcodec/benchmarks/perceptual_cost.py PICTURES`."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th image")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, metavar="FILE", help="a document with this program's marks")
    args = parser.parse_args()
    pictures = sorted(args.pictures.glob("*.png"))[:: args.every]
    if not pictures:
        parser.error(f"{args.pictures} holds no PNG file")
    lines = [about(), ""]
    for part in (
        encoding(pictures, args.rounds), searches(pictures), memory(pictures[0]), metric(pictures[0], args.rounds),
    ):  # fmt: skip
        for line in part:
            lines.append(line)
            print(line, flush=True)
        lines.append("")
    if args.results:
        put(args.results, "perceptual_cost.py", "\n".join(lines))


if __name__ == "__main__":
    main()
