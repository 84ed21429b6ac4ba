"""The command ``detector plan``."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError, DataError
from ..options import Between, Command, Input, Output, params_option

if TYPE_CHECKING:
    from ..config import Params
    from .cost import Calibration, Plan, Videos

CALIBRATION = Path("calibration.json")
MOST = 10**12  # of what is counted
REMEDY = "write it with detector plan DATA --calibrate"


@click.command(cls=Command)
@click.argument("data", type=Input(exists=True, file_okay=False), required=False)
@click.option("--calibrate", is_flag=True, help="Measure this machine first, on a few videos of DATA; takes minutes.")
@click.option(
    "--calibration",
    "file",
    type=Input(dir_okay=False),
    default=CALIBRATION,
    show_default=True,
    help="The measured costs: --calibrate writes this file, the plan reads it.",
)
@click.option("--videos", type=click.IntRange(1, MOST), help="Plan for this number of videos instead of DATA.")
@click.option("--pictures", type=click.IntRange(1, MOST), help="Plan for this number of image files instead of DATA.")
@click.option("--fakes", type=Between(0, 1), help="Share of fakes in that number.  [default: as calibrated]")
@click.option("--frames", type=Between(1, 1e9), help="Frames in a video.  [default: as calibrated]")
@click.option(
    "--megapixels", type=Between(0, 1e6, min_open=True), help="Size of a frame.  [default: as calibrated]"
)
@click.option("--megabytes", type=Between(0, 1e9), help="Size of a file.  [default: as calibrated]")
@click.option(
    "--workers", type=click.IntRange(1, MOST), default=1, show_default=True, help="Cores, each with a worker."
)
@click.option("--price", type=Between(0, 1e9), default=0.0, help="Price of an hour of one core, in any currency.")
@click.option("--gpu-price", type=Between(0, 1e9), default=0.0, help="Price of an hour of one GPU.")
@click.option("--out", type=Output(dir_okay=False), help="Also write the plan to this file, as JSON.")
@params_option
def command(
    data: Path | None, calibrate: bool, file: Path, videos: int | None, pictures: int | None, fakes: float | None,
    frames: float | None, megapixels: float | None, megabytes: float | None, workers: int, price: float,
    gpu_price: float, out: Path | None, params: Params,
) -> None:  # fmt: skip
    """Predict tasks, time, disk, memory and cost of the pipeline for the videos in DATA, or for a number of videos.

    The prediction is for the machine and the parameters of the calibration: detector plan DATA --calibrate runs every
    stage on a few videos of DATA; a warning says if this machine is another one. Times are CPU hours, and wall hours on
    cores with no other work. docs/scale.md explains the calculation.
    """
    from .calibrate import describe, settings_of
    from .cost import Prices, plan

    if (data is not None) + (videos is not None) + (pictures is not None) != 1:
        raise click.UsageError("give one of DATA, --videos and --pictures")
    given = {"frames": frames, "megapixels": megapixels, "fakes": fakes, "megabytes": megabytes}
    if data is not None and (wrong := [name for name, value in given.items() if value is not None]):
        raise click.UsageError(f"--{wrong[0]} is for a number of videos; {data} is examined itself")
    if pictures is not None and frames is not None:
        raise click.UsageError("--frames is for --videos; a picture is one frame")
    if calibrate:
        if data is None:
            raise click.UsageError("--calibrate needs DATA, a folder of videos to measure with")
        _calibrate(data, file, params)
    calibration = _read(file)
    rate = 25.0
    if data is not None:
        from ..data.readers import read_data

        described, rate = describe(read_data(data, params.faces).clips)
    else:
        described = _described(calibration.videos, videos, pictures, fakes, frames, megapixels, megabytes)
    settings = settings_of(params, rate, described.frames)
    _check(calibration, params, file)
    known = this_machine(calibration.machine)
    if differ := differences(calibration.machine, known):
        click.echo(
            f"warning: {file}: was measured with other {', '.join(differ)}; the plan is for the calibrated machine, "
            "detector plan DATA --calibrate measures this one",
            err=True,
        )
    if gpu_price and not _has_gpu(calibration):
        raise ConfigError(
            f"{file}: was made without a GPU, so the hours of one are not known; leave --gpu-price out, or "
            "calibrate on a machine with a GPU"
        )
    found = plan(calibration, described, settings, workers, Prices(price, gpu_price))
    if out is not None:
        from ..data.files import whole_file, write_json

        with whole_file(out) as temporary:
            write_json(temporary, {"machine": calibration.machine, "this_machine": known, **dataclasses.asdict(found)})
    click.echo(text(found, calibration))


def _calibrate(data: Path, file: Path, params: Params) -> None:
    """Write the calibration *file*."""
    from ..arithmetic import pin
    from ..data.files import whole_file, write_json

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    pin(params.train)
    from .calibrate import calibrate

    with _work_folder(file.parent) as folder:
        found = calibrate(data, params, folder, lambda line: click.echo(line, err=True))
    with whole_file(file) as temporary:
        write_json(temporary, dataclasses.asdict(found))
    click.echo(f"calibration: {file}", err=True)


@contextlib.contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder in *parent*, removed at the end; those that killed calibrations left are removed first.

    Its process holds a lock on it, which the kernel gives up with the process; it has its name once it is locked.
    """
    import fcntl
    import shutil
    import tempfile

    def lock(folder: Path) -> int:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    for left in parent.glob(".calibration.*"):
        with contextlib.suppress(OSError):
            held = lock(left)
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    new = Path(tempfile.mkdtemp(dir=parent, prefix=".new.calibration."))
    folder = parent / new.name.removeprefix(".new")
    descriptor = None
    try:
        with contextlib.suppress(OSError):  # a file system without locks, where none is removed either
            descriptor = lock(new)
        new.rename(folder)
        yield folder
    finally:
        for path in (new, folder):
            shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _read(file: Path) -> Calibration:
    from ..schema import read_json
    from .cost import BYTES, STAGES, Calibration

    if not file.exists():
        raise DataError(f"{file}: no such calibration; {REMEDY}")
    found = read_json(file, Calibration, REMEDY)
    missing = [name for name in STAGES if name not in found.stages] + [
        name for name in BYTES if name not in found.bytes
    ]
    if missing:
        raise DataError(f"{file}: {missing[0]} is missing; {REMEDY}")
    return found


def _check(calibration: Calibration, params: Params, file: Path) -> None:
    """Raise `ConfigError` if *calibration* is for another model."""
    if calibration.settings.model != params.model:
        raise ConfigError(
            f"{file}: was made with model {calibration.settings.model}, the parameters say {params.model}; {REMEDY}, "
            "or name another --calibration"
        )


def this_machine(calibrated: Mapping[str, str]) -> dict[str, str]:
    """Return this machine in the terms of a calibration; its GPU only if one was *calibrated*, since torch finds it."""
    from .calibrate import here, machine

    return here() if calibrated.get("gpu", "none") == "none" else machine()


def differences(calibrated: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """Return what differs between two machines, as ``cores (2, here 16)``; what one does not say is not compared."""
    return [
        f"{name} ({calibrated[name]}, here {value})"
        for name, value in known.items()
        if name in calibrated and calibrated[name] != value
    ]


def _has_gpu(calibration: Calibration) -> bool:
    return any(rates.gpu for rates in calibration.stages.values())


def _described(
    known: Videos, videos: int | None, pictures: int | None, fakes: float | None, frames: float | None,
    megapixels: float | None, megabytes: float | None,
) -> Videos:  # fmt: skip
    """Return the description of a number of videos or pictures, with what is not given as in *known*."""
    number = videos or pictures or 0
    share = known.fake / (known.real + known.fake) if fakes is None else fakes
    size = known.bytes / (known.real + known.fake) if megabytes is None else 1e6 * megabytes
    return dataclasses.replace(
        known,
        real=number - round(number * share),
        fake=round(number * share),
        frames=1.0 if pictures else frames or known.frames,
        megapixels=megapixels or known.megapixels,
        bytes=number * size,
        masks=0.0 if pictures else known.masks,
        pictures=bool(pictures),
    )


def text(found: Plan, calibration: Calibration) -> str:
    """Return *found* as a table and sentences."""
    gpus = _has_gpu(calibration)
    rows = [("stage", "tasks", "CPU h", "GPU h", "wall h", "read GB", "written GB", "memory MB")]
    rows += [
        (
            one.stage, str(one.tasks or "-"), f"{one.cpu_hours:.3g}",
            f"{one.gpu_hours:.3g}" if gpus else "-", f"{one.wall_hours:.3g}",
            f"{one.read / 1e9:.3g}", f"{one.written / 1e9:.3g}", f"{one.memory / 1e6:.0f}",
        )
        for one in found.stages
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    what = "pictures" if found.videos.pictures else "videos"
    gpu = f"{found.gpu_hours:.3g} GPU hours" if gpus else "GPU hours not known (calibrated without one)"
    cost = f"cost: {found.cost:.2f} for the hours used, {found.cost_reserved:.2f} for all workers over the whole time"
    if not found.cost_reserved:
        cost = "cost: not known without --price, that of an hour of one core"
    return "\n".join([
        f"{found.videos.real + found.videos.fake} {what}, {found.crops} crops, {found.workers} workers, "
        f"{calibration.machine.get('processor', 'unknown processor')}",
        *lines,
        f"total: {found.tasks} tasks, {found.cpu_hours:.3g} CPU hours (standard error {found.cpu_hours_error:.2g}), "
        f"{gpu}",
        f"wall time: {found.wall_hours:.3g} h with {found.workers} workers on idle cores",
        f"disk: {found.disk / 1e9:.3g} GB, {found.disk_peak / 1e9:.3g} GB at most, beside "
        f"{found.input_bytes / 1e9:.3g} GB of input; memory: {found.memory / 1e6:.0f} MB a worker",
        cost,
    ])  # fmt: skip
