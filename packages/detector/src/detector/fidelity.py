"""The fidelity stage: how close the crops stay to the originals under each condition, and how many bytes they take."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .conditions import RAW, Condition, encoders, parse_all
from .config import Params
from .data.index import Face
from .options import SHARDS, Command, Input, Output, executor_option, later, params_option, workers_option

if TYPE_CHECKING:
    from .data.shards import ShardReader
    from .remote import Later

Metrics = tuple[float, float, int]  # PSNR in dB, SSIM, bytes

PERCENTILES = (5, 50, 95)
CHUNK = 32  # crops of a task


@dataclass(frozen=True, slots=True)
class Row:
    """One crop under one condition: PSNR in dB (``inf`` if identical), SSIM, bytes, and bits per pixel of the crop.

    Bytes are the size of the last file in the chain, or of the result as PNG if no step encodes.
    """

    key: str
    condition: str
    psnr: float
    ssim: float
    bytes: int
    bits_per_pixel: float


@dataclass(frozen=True, slots=True)
class Panel:
    """An image of `panels/` and its `Row`; the bytes of ``raw`` are those of the PNG file in the crops."""

    file: str
    key: str
    condition: str
    psnr: float
    ssim: float
    bytes: int
    bits_per_pixel: float


@click.command(cls=Command)
@click.argument("faces", type=Input(file_okay=False, stay=SHARDS))
@click.argument("out", type=Output(replaced=True, file_okay=False))
@click.argument("summary", type=Output(dir_okay=False))
@workers_option
@executor_option
@params_option
def command(faces: Path, out: Path, summary: Path, workers: int, executor: str, params: Params) -> None:
    """Measure PSNR, SSIM and bits per pixel of the crops in FACES under the parameter conditions, except raw.

    The numbers of every crop and images of a few are written to the folder OUT, means and percentiles to SUMMARY.
    """
    from evaluation.conditions import condition_key

    conditions = parse_all(params.conditions)
    found = measure(faces, out, summary, conditions, workers, executor, params.max_damaged, later())
    width = max(5, *(len(str(condition)) for condition in conditions))
    for condition in conditions:
        row = found.get(condition_key(str(condition)), {})
        if row:
            psnr = f"{row['psnr']:.2f} dB" if "psnr" in row else "infinite"
            numbers = f"PSNR {psnr}, SSIM {row['ssim']:.4f}, {row['bits_per_pixel']:.3f} bits per pixel"
            click.echo(f"{condition!s:>{width}}: {numbers}")


def measure(
    faces: str | Path,
    out: str | Path,
    summary: str | Path,
    conditions: Sequence[Condition],
    workers: int = 0,
    executor: str = "processes",
    max_damaged: float = 0,
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> dict[str, dict[str, float]]:
    """Measure all crops in the folder *faces* under *conditions*, write *out* and *summary*, and return the summary.

    ``raw`` is not measured. *out* receives ``images.csv`` (a `Row` per crop and condition), ``panels.csv`` and
    ``panels/`` (raw and every condition), and ``encoders.json``, the versions of the encoders. *summary* also receives
    the SHA-256 of the index of the crops and of ``panels.csv``, so that readers notice files of another run. Tasks read
    the archives *later* at their address (`detector.remote.placed`).
    Raises `detector.errors.DataError` if *faces* is incomplete or its crops are compressed.
    """
    from evaluation.sums import sealed

    from .data.crops import crops_task, over_crops
    from .data.files import sha256, whole_folder, write_json
    from .data.index import read_index, write_rows
    from .data.intact import intact, write_damaged
    from .data.shards import ShardReader
    from .data.summary import read_lossless
    from .data.work import Executor, Task, key_of, read, working_folder
    from .pipeline import stage

    where = Executor(executor, workers)
    read_lossless(faces)
    reader = ShardReader(faces, later)
    index, damaged = intact(read_index(faces), reader, max_damaged)
    measured_conditions = [condition for condition in conditions if condition.steps]

    labels = [str(condition) for condition in measured_conditions]
    depends = key_of("measure_crops", stage("fidelity").code_sha256(), {"conditions": labels}, dict(encoders()))

    def tasks_of(some: Sequence[Face]) -> list[Task]:
        chunks = [some[start : start + CHUNK] for start in range(0, len(some), CHUNK)]
        return [
            crops_task(depends, measure_crops, reader, chunk, (labels,), _joined, lists=max_damaged > 0)
            for chunk in chunks
        ]

    with working_folder(Path(out)) as work, whole_folder(out, "images.csv", sums=True) as folder:
        done = over_crops(index, reader, max_damaged, tasks_of, work, "fidelity", where)
        index, damaged = done.kept, [*damaged, *done.damaged]

        def rows() -> Iterator[Row]:  # not a list: a large set of crops has tens of millions
            for file in done.files:
                yield from (Row(**values) for values in json.loads(read(file)))  # reads back every float exactly

        panels = [panel for face in examples(index) for panel in draw(folder, reader, face, measured_conditions)]
        write_rows(folder / "panels.csv", Panel, panels)
        write_rows(folder / "images.csv", Row, rows())
        write_json(folder / "encoders.json", dict(encoders()))
        write_damaged(folder, damaged)
        found = summarize(rows(), index)
        origin: dict[str, Any] = {
            "faces": {"index_sha256": sha256(Path(faces) / "index.csv")},
            "panels_sha256": sha256(folder / "panels.csv"),
        }
        write_json(summary, sealed({**found, **origin}))
    return found


def measure_crops(argument: tuple[ShardReader, Sequence[Face], Sequence[str]]) -> bytes:
    """Return the rows of crops under conditions, as JSON."""
    reader, faces, labels = argument
    conditions = parse_all(labels)
    rows = [row(face.key, *one) for face in faces for one in degrade(reader, face, conditions)]
    return json.dumps([asdict(one) for one in rows]).encode()


def _joined(results: Sequence[bytes]) -> bytes:
    return json.dumps([row for result in results for row in json.loads(result)]).encode()


def degrade(reader: Any, face: Face, conditions: Sequence[Condition]) -> list[tuple[str, np.ndarray, Metrics]]:
    """Return the crop *face* under each condition: its label, the image, uint8 (H, W, 3), and the `Metrics`."""
    from mozcodec import psnr, ssim

    from .data.compress import read_crop
    from .data.png import encode_png

    image = read_crop(reader, face)
    found = []
    for condition in conditions:
        made, data = condition.make(image)
        size = len(data if data is not None else encode_png(condition.run(image).image))
        found.append((str(condition), made, (psnr(image, made), ssim(image, made), size)))
    return found


def row(key: str, condition: str, image: np.ndarray, metrics: Metrics) -> Row:
    """Return the `Row` of one crop under one condition."""
    psnr, ssim, size = metrics
    height, width = image.shape[:2]
    return Row(key, condition, round(psnr, 4), round(ssim, 6), size, round(8 * size / (height * width), 5))


def summarize(rows: Iterable[Row], index: Sequence[Face]) -> dict[str, dict[str, float]]:
    """Return, for every condition, the mean of each measure, its 95 % interval and its percentiles 5, 50 and 95.

    Intervals (``_lo``, ``_hi``) are by pairs of people (`evaluation.clusters`), left out with fewer than two. Keys are
    `condition_key`'s (``q77``), and ``n`` for the numbers of faces and videos. Identical crops, whose PSNR is infinite,
    are left out of the PSNR and counted.
    """
    from evaluation.clusters import cluster_rows
    from evaluation.conditions import condition_keys
    from evaluation.means import mean

    columns = (np.array([getattr(face, name) for face in index]) for name in ("video", "pair", "identity"))
    clusters, place = cluster_rows(*columns), {face.key: number for number, face in enumerate(index)}
    names = ("psnr", "ssim", "bytes", "bits_per_pixel")
    measured: dict[str, tuple[array[float], ...]] = {}  # by condition: place of the face, then the measures
    for row in rows:
        columns_of_one = measured.setdefault(row.condition, (array("d"), *(array("d") for _ in names)))
        values_of_one = (place[row.key], *(getattr(row, name) for name in names))
        for column, value in zip(columns_of_one, values_of_one, strict=True):
            column.append(value)
    found: dict[str, dict[str, float]] = {}
    for condition, key in condition_keys(measured).items():
        places, *every = (np.frombuffer(column) for column in measured[condition])
        numbers: dict[str, float] = {}
        for name, of_all in zip(names, every, strict=True):
            finite = np.isfinite(of_all)
            values = of_all[finite]
            if len(values) < len(of_all):
                numbers[f"{name}_infinite"] = len(of_all) - len(values)
            if len(values):
                average = mean(values, clusters[places[finite].astype(np.intp)])
                numbers[name] = round(average.value, 5)
                if math.isfinite(average.lo):
                    numbers |= {f"{name}_lo": round(average.lo, 5), f"{name}_hi": round(average.hi, 5)}
                for p in PERCENTILES:
                    numbers[f"{name}_p{p}"] = round(float(np.percentile(values, p)), 5)
        found[key] = numbers
    found["n"] = {"faces": len(index), "videos": len({face.video for face in index})}
    return found


def examples(index: Sequence[Face]) -> list[Face]:
    """Return the crops to show: the middle crop of the middle real test video, and the same moment in its forgeries.

    Without a real test video, it is the middle of all crops.
    """
    real = [face for face in index if face.method == "original" and face.split == "test"] or list(index)
    videos = list(dict.fromkeys(face.video for face in real))
    of_video = [face for face in real if face.video == videos[len(videos) // 2]]
    first = of_video[len(of_video) // 2]
    target = first.identity.split("+")[0]
    forged: dict[str, Face] = {}
    for face in index:
        if face.label and first.label == 0 and face.identity.split("+")[0] == target:
            best = forged.get(face.method, face)
            forged[face.method] = min(best, face, key=lambda f: (abs(f.frame - first.frame), f.key))
    return [first, *(forged[method] for method in sorted(forged))]


def draw(folder: Path, reader: Any, face: Face, conditions: Sequence[Condition]) -> list[Panel]:
    """Write the crop *face*, raw and under each condition, as PNG files to *folder*/panels; return their rows."""
    from evaluation.conditions import condition_key

    from .data.compress import read_crop
    from .data.png import encode_png

    raw = read_crop(reader, face)
    (folder / "panels").mkdir(exist_ok=True)
    panels = []
    unchanged = (RAW, raw, (math.inf, 1.0, face.size))
    for condition, image, metrics in [unchanged, *degrade(reader, face, conditions)]:
        file = f"panels/{face.key.replace('/', '-')}-{condition_key(condition)}.png"
        (folder / file).write_bytes(encode_png(image))
        r = row(face.key, condition, image, metrics)
        panels.append(Panel(file, r.key, r.condition, r.psnr, r.ssim, r.bytes, r.bits_per_pixel))
    return panels
