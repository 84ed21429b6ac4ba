"""``python -m tools throughput``: the speed of training, loading and inference, and of reference implementations.

Rates are measured in windows of equal duration; the median, minimum and maximum are reported. Both wall time and the
CPU time of all threads are measured; CPU time is comparable on a loaded machine. References are measured in the same
run, in alternating windows.
"""
# Over 600 lines: the reference implementations stand beside what they are compared with.

from __future__ import annotations

import copy
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detector.config import Params
from detector.errors import ConfigError
from detector.options import params_option
from detector.system import peak_memory

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from detector.loading.loader import Batch
    from detector.training.trainer import Trainer

__all__ = ["MODES", "Rate", "command", "draw_crops", "measure", "table"]

WINDOWS = 5
# the reference of a mode; their windows alternate
REFERENCES = {"synthetic": ("bare", "itemized", "plain"), "loader": ("pillow", "imagefolder"), "data": ("files",)}
PASSES = {"synthetic": 3, "bare": 3, "itemized": 3, "plain": 3, "data": 3, "files": 3, "infer": 1}  # backward: 2
SAMPLES = 10  # of a GPU's load and power in a second
RESIZE = 7 / 8  # 224 of 256, the usual recipe's
MODES = {
    "synthetic": "the trainer's whole step on one batch in memory",
    "bare": "forward, backward and optimizer alone, the same model and batch (reference of synthetic)",
    "itemized": "bare, and the loss read at every step, as timm's train.py does (reference of synthetic)",
    "plain": "fp32, NCHW, Adam, the batch's metrics at every step, as DeepfakeBench does (reference of synthetic)",
    "loader": "batches read, checked, decoded and edited; no model",
    "pillow": "loose JPEG files through Pillow to normalised tensors (reference of loader)",
    "imagefolder": "the same with a resize to 7/8, the usual ImageFolder recipe (reference of loader)",
    "data": "the trainer's whole step on batches from the loader, with random histories if --faces is given",
    "files": "the same without random histories (reference of data)",
    "infer": "scores of uint8 batches in memory",
}


@dataclass
class Rate:
    """The measurements of a mode: images, wall time and processor time of each window."""

    mode: str
    windows: list[tuple[int, float, float]] = field(default_factory=list)  # images, wall seconds, processor seconds
    details: dict[str, Any] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return the rates as plain values."""
        wall = [images / seconds for images, seconds, _ in self.windows]
        processor = [images / seconds for images, _, seconds in self.windows if seconds > 0]
        return {
            "mode": self.mode,
            "images": sum(images for images, _, _ in self.windows),
            "images_per_second": statistics.median(wall),
            "images_per_second_min": min(wall),
            "images_per_second_max": max(wall),
            "images_per_cpu_second": statistics.median(processor) if processor else None,
            **self.details,
        }


@click.command()
@click.option(
    "--mode", "modes", type=click.Choice(list(MODES)), metavar="NAME", multiple=True,
    help="Only this mode; can be repeated.  [default: all]",
)
@click.option("--crops", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Packed JPEG crops.")
@click.option(
    "--faces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Lossless crops that --crops were made from: batches have the random histories of the parameters.",
)
@click.option("--size", type=click.IntRange(32), default=256, show_default=True, help="Side of drawn crops, in pixels.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    help="Draw crops as `detector compress` writes them, at this quality.  [default: 95, sequential]",
)
@click.option("--model", help="Name of the model.  [default: that of the parameters]")
@click.option("--batch", type=click.IntRange(2), help="Images in a batch.  [default: train.batch_size]")
@click.option("--amp", help="Precision.  [default: train.amp]")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option("--threads", type=click.IntRange(1), help="Threads of torch.  [default: train.threads]")
@click.option("--loader-threads", type=click.IntRange(1), default=1, show_default=True, help="Decoding threads.")
@click.option(
    "--recompress", type=click.FloatRange(0, 1),
    help="Share of recompressed crops.  [default: train.augment.recompress]",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True, help="Time of a mode."
)
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the results as JSON.")
@params_option
def command(
    modes: tuple[str, ...],
    crops: Path | None,
    faces: Path | None,
    size: int,
    quality: int | None,
    model: str | None,
    batch: int | None,
    amp: str | None,
    compiled: bool,
    threads: int | None,
    loader_threads: int,
    recompress: float | None,
    seconds: float,
    out: Path | None,
    params: Params,
) -> None:
    """Measure images per second of training, loading and inference.

    Without --crops, crops are drawn. Each mode runs for --seconds. The modes are:

    \b
    synthetic  the trainer's whole step on one batch in memory
    bare       forward, backward and optimizer alone
    itemized   bare, with the loss read at every step, as timm's train.py does
    plain      fp32, NCHW, Adam, metrics at every step, as DeepfakeBench does
    loader     batches read, checked, decoded and edited; no model
    pillow     loose JPEG files through Pillow to normalised tensors
    imagefolder  the same with a resize to 7/8, the usual ImageFolder recipe
    data       the whole step on batches of the loader, with histories of --faces
    files      the same without random histories
    infer      scores of batches in memory

    A mode alternates with its references: synthetic with bare, itemized and plain, loader with pillow and imagefolder,
    data with files.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    values: dict[str, Any] = {"batch_size": batch, "amp": amp, "threads": threads, "compile": compiled or None}
    train = dataclasses.replace(params.train, **{name: value for name, value in values.items() if value is not None})
    if recompress is not None:
        train = dataclasses.replace(train, augment=dataclasses.replace(train.augment, recompress=recompress))
    if faces is None:
        train = dataclasses.replace(train, histories=None)
    elif crops is None:
        raise click.UsageError("--faces needs --crops, the crops that were compressed from them")
    params = dataclasses.replace(params, train=train, model=model or params.model)
    with tempfile.TemporaryDirectory() as folder:
        if crops is None:
            crops = Path(folder) / "crops"
            draw_crops(crops, size, max(256, 2 * params.train.batch_size), quality)
        result = measure(params, crops, modes or tuple(MODES), seconds, loader_threads, Path(folder), faces)
    click.echo(table(result))
    if out is not None:
        from detector.data.files import write_json

        write_json(out, result)


def measure(
    params: Params,
    crops: Path,
    modes: tuple[str, ...],
    seconds: float,
    loader_threads: int,
    folder: Path,
    faces: Path | None = None,
) -> dict[str, Any]:
    """Return the rates of *modes* on the packed JPEG *crops*, and what they were measured with.

    *faces* are the lossless crops, for random histories. A mode and its reference, if both are requested, run in
    alternating windows. *folder* is for temporary files.
    """
    from detector.training.distributed import Processes
    from detector.training.progress import Progress
    from detector.training.run import describe_run
    from detector.training.signals import StopSignals
    from detector.training.trainer import Trainer, set_up_torch

    if params.train.steps < 2:
        raise ConfigError("train.steps must be at least 2 to measure anything")
    with Processes() as processes, StopSignals() as signals:
        set_up_torch(params, processes.device)
        run = describe_run(params, crops, processes.device, faces)
        progress = Progress(params.train.steps)
        unfinished = folder / "checkpoints" / "run"
        trainer = Trainer(params, crops, run, processes, signals, loader_threads, unfinished, progress, faces)
        rates = _rates(trainer, modes, seconds, folder)
        return {
            "results": [rate.report() for rate in rates],
            "ratios": _ratios({rate.mode: rate.report() for rate in rates}),
            **_circumstances(params, trainer, loader_threads),
        }


def _rates(trainer: Trainer, modes: tuple[str, ...], seconds: float, folder: Path) -> list[Rate]:
    """Run each of *modes* for *seconds*, those that are compared in turn, and return their rates."""
    import torch

    device = trainer.device
    makers: dict[str, Callable[..., Generator[int]]] = {
        "synthetic": _synthetic,
        "bare": _bare,
        "itemized": partial(_bare, read=True),
        "plain": _plain,
        "loader": _loader,
        "pillow": partial(_pillow, folder=folder / "loose"),
        "imagefolder": partial(_pillow, folder=folder / "loose", resize=RESIZE),
        "data": _data,
        "files": partial(_data, histories=False),
        "infer": _infer,
    }
    rates: list[Rate] = []
    done: set[str] = set()
    for mode in modes:
        group = [m for m in (mode, *REFERENCES.get(mode, ())) if m in modes and m not in done]
        done.update(group)
        found = {m: Rate(m) for m in group}
        works: dict[str, Generator[int]] = {m: makers[m](trainer, found[m].details) for m in group}
        for m, work in works.items():
            start = time.perf_counter()
            for _ in range(2):  # the first steps are slower: memory, compilation, caches
                next(work)
            _wait_for(device)
            found[m].details["warm_up_seconds"] = time.perf_counter() - start
        for _ in range(WINDOWS):
            for m, work in works.items():
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                with _Gpu(device) as gpu:
                    found[m].windows.append(_window(work, seconds / WINDOWS, device))
                details = found[m].details
                details["peak_memory_bytes"] = max(_peak_memory(device), details.get("peak_memory_bytes", 0))
                details |= gpu.means()
        for work in works.values():
            work.close()
        rates += found.values()
    return rates


def _window(work: Iterator[int], seconds: float, device: torch.device) -> tuple[int, float, float]:
    """Return images, wall and processor seconds of as much *work* as begins within *seconds*."""
    images, wall, processor = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - wall < seconds:  # at least once, even on a busy machine
        images += next(work)
    _wait_for(device)
    return images, time.perf_counter() - wall, time.process_time() - processor


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


# -- the modes: generators that do a piece of work and yield how many images it was ------------------------------------


def _first_batch(trainer: Trainer) -> Batch:
    """Return a copy of the first batch on the device."""
    from detector.loading.loader import Batch

    batches = trainer.loader.batches([(0, trainer.order.batch(0))])
    batch = next(batches)
    copy = Batch(0, batch.ids, batch.images.to(trainer.device, copy=True), batch.labels.to(trainer.device))
    batches.close()
    return copy


def _synthetic(trainer: Trainer, details: dict[str, Any]) -> Generator[int]:
    batch = _first_batch(trainer)
    details["step_milliseconds"] = _split(trainer, batch)
    for step in _steps(trainer):
        trainer._update(dataclasses.replace(batch, step=step))
        yield len(batch.ids)


def _bare(trainer: Trainer, _details: dict[str, Any], read: bool = False) -> Generator[int]:
    import torch

    batch = _first_batch(trainer)
    x, labels = trainer._inputs(batch)
    optimizer = torch.optim.AdamW(trainer.parameters, lr=1e-3, fused=True)
    for step in _steps(trainer):
        with trainer.precision.autocast():
            loss = trainer.objective(x, labels, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if read:
            loss.item()
        yield len(labels)


def _plain(trainer: Trainer, _details: dict[str, Any]) -> Generator[int]:
    import torch

    from detector.models.losses import binary_cross_entropy
    from evaluation.metrics import ap, auc, eer

    x, labels = trainer._inputs(_first_batch(trainer))
    x = x.contiguous(memory_format=torch.contiguous_format)
    model = copy.deepcopy(trainer.model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, weight_decay=5e-4)
    while True:
        logits = model(x)
        loss = binary_cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()
        y_true, y_score = labels.cpu().numpy(), torch.sigmoid(logits.detach()).cpu().numpy()
        for metric in (auc, ap, eer):
            metric(y_true, y_score)
        yield len(labels)


def _loader(trainer: Trainer, _details: dict[str, Any]) -> Generator[int]:
    with closing(trainer.loader.batches((step, trainer.order.batch(step)) for step in _steps(trainer))) as batches:
        for batch in batches:
            yield len(batch.ids)


def _pillow(trainer: Trainer, _details: dict[str, Any], folder: Path, resize: float = 1) -> Generator[int]:
    import numpy as np
    import torch
    from PIL import Image

    size = round(trainer.size[1] * resize), round(trainer.size[0] * resize)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for i, face in enumerate(trainer.training):
        files.append(folder / f"{i}.jpg")
        files[-1].write_bytes(trainer.loader.reader.read(face))
    for step in _steps(trainer):
        images = []
        for i in trainer.order.batch(step):
            with files[i].open("rb") as file:
                image = Image.open(file).convert("RGB")
            if resize != 1:
                image = image.resize(size, Image.Resampling.BILINEAR)
            # torchvision's ToTensor and Normalize
            tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
            images.append(tensor.sub_(0.5).div_(0.5))
        torch.stack(images)
        yield len(images)


def _data(trainer: Trainer, details: dict[str, Any], histories: bool = True) -> Generator[int]:
    loader = trainer.loader if histories else copy.copy(trainer.loader)
    if not histories:
        loader.make = None
    waited, start = loader.waited, time.perf_counter()
    with closing(loader.batches((step, trainer.order.batch(step)) for step in _steps(trainer))) as batches:
        for batch in batches:
            trainer._update(batch)
            details["stall_share"] = (loader.waited - waited) / (time.perf_counter() - start)
            yield len(batch.ids)


def _infer(trainer: Trainer, _details: dict[str, Any]) -> Generator[int]:
    from detector.inference import predict

    batch = _first_batch(trainer)
    model = trainer.ema.model
    while True:
        predict(model, [batch.images], trainer.device, trainer.precision)
        yield len(batch.ids)


def _steps(trainer: Trainer) -> Iterator[int]:
    """Yield the steps of the run's schedule, repeatedly."""
    while True:
        yield from range(trainer.config.steps)


# -- details and circumstances -----------------------------------------------------------------------------------------


def _split(trainer: Trainer, batch: Batch) -> dict[str, float]:
    """Return the milliseconds of each part of a step: the median over 5 steps, synchronised after each part."""
    parts: dict[str, list[float]] = {"inputs": [], "gradients": [], "update": []}

    def timed(name: str, work: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        result = work(*args)
        _wait_for(trainer.device)
        parts[name].append(1e3 * (time.perf_counter() - start))
        return result

    for step in range(5):
        x, labels = timed("inputs", trainer._inputs, batch)
        trainer._start_step(step)
        loss = timed("gradients", trainer._gradients, x, labels, step)
        timed("update", trainer._advance, step, loss)
    return {name: statistics.median(values) for name, values in parts.items()}


class _Gpu:
    """Context manager that samples a GPU's load and power `SAMPLES` times a second; `means` returns the means.

    Nothing on a CPU, or where nvidia-ml-py is not installed.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.seen: dict[str, list[float]] = {"gpu_percent": [], "watts": []}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, name="gpu", daemon=True)

    def __enter__(self) -> _Gpu:
        if self.device.type == "cuda":
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        if self.thread.ident is not None:
            self.thread.join()

    def means(self) -> dict[str, float]:
        """Return the mean load in percent and the mean power in watts, if they were sampled."""
        return {name: statistics.mean(values) for name, values in self.seen.items() if values}

    def _look(self) -> None:
        import torch

        while not self.ended.wait(1 / SAMPLES):
            try:
                load, power = torch.cuda.utilization(self.device), torch.cuda.power_draw(self.device) / 1e3
            except ModuleNotFoundError:
                return
            self.seen["gpu_percent"].append(load)
            self.seen["watts"].append(power)


def _peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of tensors on a GPU, else of this process so far."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return peak_memory()


def _ratios(reports: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the ratios of a mode to its references, of processor time; of wall time for loops of other projects."""
    ratios = {}
    if {"synthetic", "bare"} <= reports.keys():
        ratios["time_of_synthetic_over_bare"] = (
            reports["bare"]["images_per_cpu_second"] / reports["synthetic"]["images_per_cpu_second"]
        )
    for reference in ("itemized", "plain"):
        if {"synthetic", reference} <= reports.keys():
            ratios[f"rate_of_synthetic_over_{reference}"] = (
                reports["synthetic"]["images_per_second"] / reports[reference]["images_per_second"]
            )
    for reference in REFERENCES["loader"]:
        if {"loader", reference} <= reports.keys():
            ratios[f"rate_of_loader_over_{reference}"] = (
                reports["loader"]["images_per_cpu_second"] / reports[reference]["images_per_cpu_second"]
            )
    if {"data", "files"} <= reports.keys():
        ratios["time_of_data_over_files"] = (
            reports["files"]["images_per_cpu_second"] / reports["data"]["images_per_cpu_second"]
        )
    return ratios


def _circumstances(params: Params, trainer: Trainer, loader_threads: int) -> dict[str, Any]:
    import torch

    import mozcodec
    from detector import __version__
    from detector.models.describe import count_macs

    device = trainer.device
    return {
        "model": params.model,
        "size": list(trainer.size),
        "batch": params.train.batch_size,
        "micro_batch": trainer.micro_batch,
        "macs": count_macs(trainer.ema.model, *trainer.size),
        "amp": trainer.precision.amp,
        "compile": params.train.compile,
        "deterministic": params.train.deterministic,
        "channels_last": params.train.channels_last,
        "recompress": params.train.augment.recompress,
        "histories": params.train.histories.share if params.train.histories else 0.0,
        "threads": torch.get_num_threads(),
        "loader_threads": loader_threads,
        "commit": _commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": {
            "detector": __version__,
            "mozcodec": mozcodec.build_info()["version"],
            "torch": str(torch.__version__),
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
        },
    }


def _commit() -> str | None:
    """Return the commit of this source tree, with a + if files differ from it; None outside a repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    """Return the processor's name where Linux tells it, and else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def draw_crops(folder: Path, size: int, count: int, quality: int | None = None) -> None:
    """Write *count* drawn crops, *size* x *size* pixels, half of them fake, as JPEG, packed, to *folder*.

    Smooth colours with grain. With *quality* they are MozJPEG's default, progressive with trellis, as the compress
    stage writes them; without, sequential files of quality 95 as other encoders write them, at 256 px some 27 kB, as
    a photograph of a face. The same arguments give the same files.
    """
    import numpy as np

    import mozcodec
    from detector.data.index import Face, write_index
    from detector.data.shards import ShardWriter

    rng = np.random.default_rng([size, count])
    faces = []
    with ShardWriter(folder, suffix=".jpg") as shards:
        for number in range(count):
            fake = number < count // 2  # "Drawn" comes before "original"
            method, name = ("Drawn", f"{number:06d}_x") if fake else ("original", f"{number - count // 2:06d}")
            pixels = _picture(rng, size)
            data = mozcodec.encode(pixels, quality) if quality else mozcodec.encode(pixels, 95, profile="fastest")
            slot = shards.add(f"c23/{method}/{name}/0000", data)
            person = name.partition("_")[0]
            faces.append(
                Face(
                    **dataclasses.asdict(slot),
                    video=f"{method}/{name}",
                    compression="c23",
                    frame=0,
                    method=method,
                    identity=person,
                    pair=person,
                    split="train",
                    label=int(fake),
                )
            )
    write_index(folder / "index.csv", faces)


def _picture(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    low = cv2.resize(rng.uniform(40, 220, (8, 8, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    middle = cv2.resize(rng.normal(0, 8, (size // 4, size // 4, 3)), (size, size), interpolation=cv2.INTER_LINEAR)
    image: NDArray[np.uint8] = np.clip(low + middle + rng.normal(0, 1.5, low.shape), 0, 255).astype(np.uint8)
    return image


def table(result: dict[str, Any]) -> str:
    """Return the result of `measure` as text."""
    height, width = result["size"]
    lines = [
        f"{result['model']} at {height} x {width}, batch {result['batch']}, amp {result['amp']}, "
        f"{result['threads']} threads + {result['loader_threads']} loading, {result['device']}, "
        f"torch {result['versions']['torch']}, load {result['load']:.1f}, "
        f"{result['macs'] / 1e9:.3f} G multiply-adds a crop",
        f"{'mode':11} {'img/s':>9} {'min':>9} {'max':>9} {'img/cpu-s':>10} {'GFLOP/s':>9} {'peak MB':>8}  details",
    ]
    for row in result["results"]:
        known = sorted({"step_milliseconds", "stall_share", "gpu_percent", "watts"} & row.keys())
        details = ", ".join(f"{name} {json.dumps(_rounded(row[name]))}" for name in known)
        rates = (row["images_per_second"], row["images_per_second_min"], row["images_per_second_max"])
        columns = " ".join(f"{rate:9.1f}" for rate in rates)
        processor = row["images_per_cpu_second"]
        cpu = "-" if processor is None else f"{processor:.1f}"
        passes = PASSES.get(row["mode"])
        flops = "-" if passes is None else f"{2e-9 * passes * result['macs'] * row['images_per_second']:.1f}"
        peak = f"{row['peak_memory_bytes'] / 1e6:.0f}"
        lines.append(f"{row['mode']:11} {columns} {cpu:>10} {flops:>9} {peak:>8}  {details}".rstrip())
    lines += [f"{name.replace('_', ' ')}: {value:.2f}" for name, value in result["ratios"].items()]
    return "\n".join(lines)


def _rounded(value: Any) -> Any:
    return {k: round(v, 2) for k, v in value.items()} if isinstance(value, dict) else round(value, 4)
