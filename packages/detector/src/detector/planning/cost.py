"""The cost of a run of the pipeline: arithmetic on a calibration, a description of the data, and settings.

The CPU time of a stage is ``start + sum(rate * number)`` over units of work, such as crops or decoded megapixels. The
work of tasks (`detector.data.work`) is divided among workers; the rest, such as hashing inputs and writing shards, is
done by the command itself. No file is read here, and nothing is measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated

from ..schema import in_range

__all__ = [
    "BYTES",
    "Calibration",
    "Forecast",
    "Plan",
    "Prices",
    "Rate",
    "Settings",
    "StageRates",
    "Videos",
    "counts",
    "fit",
    "plan",
    "ratio",
    "tasks",
]

STAGES = ("faces", "audit", "compress", "fidelity", "train", "score", "explain", "evaluate", "report")
OF_A_TASK = {"compress": 128, "fidelity": 32}  # crops
SOURCE_FILES, AUDITED = 16, 512  # of a task of audit
SCORED_BATCHES, EXPLAINED_BATCH = 4, 32  # of a task
MEASURED, FEATURES = 200, 500  # faces that explain measures and describes by default
COMPARED_HERE, COMPARED = 10**9, 65_536  # pairs of crops that audit compares without tasks; crops a side of a task
# units whose cost grows with the pixels of a crop
PER_CROP = ("crops", "crop-conditions", "images")
# what the calibration knows the size of: a crop as PNG, a mask, a crop as JPEG, a row of scores and of fidelity
BYTES = ("crop", "mask", "compressed", "score", "fidelity")

NotNegative = Annotated[float, in_range(0)]
Share = Annotated[float, in_range(0, 1)]


@dataclass(frozen=True, slots=True)
class Rate:
    """CPU seconds of one unit, from `n` measurements whose relative standard deviation around it is `spread`."""

    seconds: NotNegative
    spread: NotNegative
    n: Annotated[int, in_range(1)]

    @property
    def error(self) -> float:
        """The standard error of `seconds`."""
        return self.seconds * self.spread / math.sqrt(self.n)


@dataclass(frozen=True, slots=True)
class StageRates:
    """The cost of a stage: CPU seconds to `start` a command or a worker, rates of the units of its `tasks` and of what
    the command does itself (`serial`), and the largest memory of a process in bytes.

    The rate of the unit ``tasks`` is the constant part of a task, for faces of a video or picture. `gpu` are seconds of
    a GPU, empty without one.
    """

    start: NotNegative
    tasks: dict[str, Rate]
    serial: dict[str, Rate]
    memory: Annotated[int, in_range(0)]
    gpu: dict[str, Rate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Videos:
    """A data set: numbers of real and fake videos, frames and megapixels of a frame (means), bytes in total, the share
    of the fakes that has masks, and the shares of train and val. `pictures` are image files, each a video of one frame.
    """

    real: Annotated[int, in_range(0)]
    fake: Annotated[int, in_range(0)]
    frames: NotNegative
    megapixels: NotNegative
    bytes: NotNegative
    masks: Share = 0.0
    train: Share = 0.72
    val: Share = 0.14
    pictures: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plan depends on of params.yaml: frames of a video that are used, side of a crop, number of conditions and
    how many of them change the crop, steps, batch size, batch size of scoring, threads of torch."""

    model: str
    frames_real: float
    frames_fake: float
    size: int
    conditions: int
    changing: int
    steps: int
    batch: int
    score_batch: int
    threads: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one machine needs: rates by stage, bytes by `BYTES`, crops a requested frame, seconds that the executor
    takes to hand out a task, what was calibrated with, and the machine and versions."""

    machine: dict[str, str]
    videos: Videos
    settings: Settings
    found: Share
    handing_out: NotNegative
    bytes: dict[str, float]
    stages: dict[str, StageRates]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of an hour: of one core, and of one GPU."""

    core: float = 0.0
    gpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The cost of one stage: number of tasks, CPU hours with their standard error, GPU hours, wall hours, bytes that it
    reads and writes, and bytes of memory of a worker."""

    stage: str
    tasks: int
    cpu_hours: float
    cpu_hours_error: float
    gpu_hours: float
    wall_hours: float
    read: float
    written: float
    memory: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The cost of a run. `disk` is what it leaves, `disk_peak` the most it needs at any time, without the input; `cost`
    is the price of the CPU and GPU hours used, `cost_reserved` that of all workers for the whole time."""

    workers: int
    videos: Videos
    settings: Settings
    crops: int
    stages: list[Forecast]
    tasks: int
    cpu_hours: float
    cpu_hours_error: float
    gpu_hours: float
    wall_hours: float
    input_bytes: float
    disk: float
    disk_peak: float
    memory: int
    cost: float
    cost_reserved: float


def ratio(work: Sequence[float], seconds: Sequence[float]) -> Rate:
    """Return the rate of *seconds* by *work*, each measurement weighted by its work."""
    rate = max(0.0, sum(seconds) / sum(work))
    single = [s / w for w, s in zip(work, seconds, strict=True) if w]
    spread = statistics.pstdev(single) / rate if rate and len(single) > 1 else 0.0
    return Rate(rate, spread, len(single))


def fit(work: Sequence[float], seconds: Sequence[float]) -> tuple[Rate, Rate]:
    """Return a and b of ``seconds = a + b * work`` by least squares, neither negative.

    If all work is the same, or a coefficient would be negative, a is 0 and b the `ratio`. The spread of both is that of
    the residuals relative to the mean of *seconds*.
    """
    mean_work, mean = statistics.fmean(work), statistics.fmean(seconds)
    squares = sum((w - mean_work) ** 2 for w in work)
    b = sum((w - mean_work) * (s - mean) for w, s in zip(work, seconds, strict=True)) / squares if squares else 0.0
    a = mean - b * mean_work
    if not squares or a < 0 or b < 0:
        return Rate(0.0, 0.0, len(work)), ratio(work, seconds)
    residuals = [s - a - b * w for w, s in zip(work, seconds, strict=True)]
    spread = math.sqrt(statistics.fmean([r * r for r in residuals])) / mean if mean else 0.0
    return Rate(a, spread, len(work)), Rate(b, spread, len(work))


def tasks(videos: Videos, settings: Settings, crops: int) -> dict[str, int]:
    """Return the number of tasks of each stage that has any, for so many *crops*; a group of pictures is one."""
    split = _splits(videos, crops)
    masked, described = _explained(videos, split["test"])
    several = min(2, settings.conditions)
    return {
        "faces": _picture_groups(videos) if videos.pictures else videos.real + videos.fake,
        "audit": -(-(videos.real + videos.fake) // SOURCE_FILES) - (-crops // AUDITED) + _comparisons(split),
        "compress": -(-(split["train"] + split["val"]) // OF_A_TASK["compress"]),
        "fidelity": -(-crops // OF_A_TASK["fidelity"]),
        "score": -(-(split["val"] + split["test"]) // (SCORED_BATCHES * settings.score_batch)),
        # a batch is of one condition; one more shows the examples
        "explain": settings.conditions * (1 - -masked // EXPLAINED_BATCH) + several * -(-described // EXPLAINED_BATCH),
    }


def _picture_groups(videos: Videos) -> int:
    """Return the expected number of groups that faces makes of pictures of one size (`grouped`)."""
    from ..data.work import LARGEST_GROUP, LONGEST_GROUP, mean_group

    number = videos.real + videos.fake
    if not number:
        return 0
    longest = max(1, min(LONGEST_GROUP, int(LARGEST_GROUP * number / max(1.0, videos.bytes))))
    # each picture ends a group with this chance, unless the group is full before
    chance = 1 / mean_group(number)
    length = (1 - (1 - chance) ** longest) / chance
    return math.ceil(number / length)


def _comparisons(split: Mapping[str, int]) -> int:
    """Return the number of tasks of audit that compare crops of different splits."""
    several = list(combinations(split.values(), 2))
    if sum(one * other for one, other in several) <= COMPARED_HERE:
        return 0
    return sum(-(-one // COMPARED) * -(-other // COMPARED) for one, other in several)


def num_crops(videos: Videos, settings: Settings, found: float) -> tuple[int, int]:
    """Return the crops of the real and of the fake videos, if a share *found* of the frames has a face."""
    of_real, of_fake = (1, 1) if videos.pictures else (
        min(settings.frames_real, videos.frames), min(settings.frames_fake, videos.frames)
    )  # fmt: skip
    return round(videos.real * of_real * found), round(videos.fake * of_fake * found)


def counts(videos: Videos, settings: Settings, found: float) -> dict[str, dict[str, float]]:
    """Return how many units of work each stage has: stage -> unit -> number."""
    real, fake = num_crops(videos, settings, found)
    crops, clips = real + fake, videos.real + videos.fake
    split, number = _splits(videos, crops), tasks(videos, settings, crops)
    tested = split["val"] + split["test"]
    examined = (real + fake) / found if found else 0.0
    if videos.pictures:
        faces = {"picture megapixels": clips * videos.megapixels}
    else:
        decoded = (clips + videos.masks * videos.fake) * videos.frames * videos.megapixels
        faces = {"decoded megapixels": decoded, "examined megapixels": examined * videos.megapixels}
    masked, described = _explained(videos, split["test"])
    explained = masked * settings.conditions + described * min(2, settings.conditions)
    return {
        "faces": {"tasks": clips, **faces, "crops": crops, "megabytes": videos.bytes / 1e6},
        "audit": {
            "files": clips, "crops": crops, "pairs": sum(one * other for one, other in combinations(split.values(), 2))
        },
        "compress": {"tasks": number["compress"], "crops": split["train"] + split["val"]},
        "fidelity": {"tasks": number["fidelity"], "crop-conditions": crops * settings.changing},
        "train": {"images": settings.steps * settings.batch, "crop-conditions": split["val"] * settings.conditions},
        "score": {"tasks": number["score"], "crop-conditions": tested * settings.conditions},
        "explain": {"tasks": number["explain"], "crop-conditions": explained},
        "evaluate": {"rows": split["test"] * settings.conditions},
        "report": {},  # a page of bounded size
    }  # fmt: skip


def plan(
    calibration: Calibration, videos: Videos, settings: Settings, workers: int = 1, prices: Prices | None = None
) -> Plan:
    """Return what a run over *videos* with *settings* costs with *workers* cores, each of which runs a worker.

    Crops of another size than the calibrated one cost by their area. Training runs on one machine, with the threads of
    the settings. Raises ValueError if the calibration is for another model.
    """
    if settings.model != calibration.settings.model:
        raise ValueError(f"the calibration is for {calibration.settings.model}, not for {settings.model}")
    prices = prices or Prices()
    real, fake = num_crops(videos, settings, calibration.found)
    units, number = counts(videos, settings, calibration.found), tasks(videos, settings, real + fake)
    area = (settings.size / calibration.settings.size) ** 2
    sizes = {name: calibration.bytes[name] * (area if name in ("crop", "mask", "compressed") else 1) for name in BYTES}
    read, written = _bytes(videos, settings, real, fake, sizes)
    stages = []
    for name in STAGES:
        rates = calibration.stages[name]
        work, work_error = _total(rates.tasks, units[name], area)
        own, own_error = _total(rates.serial, units[name], area)
        gpu, _ = _total(rates.gpu, units[name], area)
        threads = min(settings.threads, workers) if name == "train" else 1
        wall = wall_seconds(rates.start, own / threads, work, number.get(name, 0), workers, calibration.handing_out)
        started = rates.start * (1 + (min(workers, number[name]) if name in number and workers > 1 else 0))
        stages.append(
            Forecast(
                name, number.get(name, 0), (started + work + own) / 3600, math.hypot(work_error, own_error) / 3600,
                gpu / 3600, (wall + gpu / workers) / 3600, read.get(name, 0.0), written.get(name, 0.0), rates.memory,
            )
        )  # fmt: skip
    cpu, gpu_hours, hours = (sum(getattr(s, f"{x}_hours") for s in stages) for x in ("cpu", "gpu", "wall"))
    disk = sum(written.values())
    return Plan(
        workers, videos, settings, real + fake, stages, sum(number.values()), cpu,
        math.hypot(*(s.cpu_hours_error for s in stages)), gpu_hours, hours, videos.bytes, disk,
        # results of tasks lie beside the output until it is complete
        disk + max(written.values()), max(s.memory for s in stages),
        cpu * prices.core + gpu_hours * prices.gpu,
        hours * workers * prices.core + gpu_hours * prices.gpu,
    )  # fmt: skip


def wall_seconds(
    start: float, serial: float, work: float, number: int, workers: int, handing_out: float = 0.0
) -> float:
    """Return the time of a stage whose *number* of tasks take *work* seconds of CPU together, on idle cores.

    Workers start at the same time, the last one to finish has one mean task more than the others at most, and tasks are
    handed out one after the other. With one worker the command runs the tasks itself.
    """
    if not number:
        return start + serial
    workers = min(workers, number)
    if workers == 1:
        return start + serial + work
    divided = work / workers + work / number * (1 - 1 / workers)
    return 2 * start + serial + max(divided, number * handing_out)


def _splits(videos: Videos, crops: int) -> dict[str, int]:
    train, val = round(crops * videos.train), round(crops * videos.val)
    return {"train": train, "val": val, "test": max(0, crops - train - val)}


def _explained(videos: Videos, tested: int) -> tuple[int, int]:
    """Return how many of the *tested* crops explain measures with masks, and how many it describes."""
    share = videos.fake / (videos.real + videos.fake) if videos.real + videos.fake else 0.0
    return min(MEASURED, round(tested * share * videos.masks)), min(FEATURES, tested)


def _total(rates: Mapping[str, Rate], units: Mapping[str, float], area: float) -> tuple[float, float]:
    """Return the seconds of *units* at their *rates*, and the standard error."""
    found = {u: (r.seconds * units[u], r.error * units[u]) for u, r in rates.items() if u in units}
    scaled = {u: area if u in PER_CROP else 1.0 for u in found}
    return sum(s * scaled[u] for u, (s, _) in found.items()), math.hypot(
        *(e * scaled[u] for u, (_, e) in found.items())
    )


def _bytes(
    videos: Videos, settings: Settings, real: int, fake: int, sizes: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the bytes that each stage reads and writes."""
    crops = real + fake
    split = _splits(videos, crops)
    packed, fitted = crops * sizes["crop"], (split["train"] + split["val"]) * sizes["compressed"]
    tested = split["val"] + split["test"]
    written = {
        "faces": packed + fake * videos.masks * sizes["mask"],
        "compress": fitted,
        "fidelity": crops * settings.changing * sizes["fidelity"],
        "score": tested * settings.conditions * sizes["score"],
    }
    share = {name: split[name] / crops if crops else 0.0 for name in split}
    read = {
        "faces": 2 * videos.bytes,  # once for the hash
        "audit": videos.bytes + 2 * packed,
        "compress": 2 * packed * (share["train"] + share["val"]),
        "fidelity": 2 * packed,
        "train": fitted + packed * share["train"],
        "score": 2 * packed * (share["val"] + share["test"]),
        "evaluate": written["score"],
    }
    return read, written
