"""``python -m tools large-tables``: memory and time of what reads a large index and large scores.

The index has 1,800,000 crops (5,000 videos of FaceForensics++ with 360 frames each), the scores 10,000,000 rows. All
rows of the index point to one crop of 16 x 16 pixels, so archives take no space, and work on pixels is replaced by
constant results: what is measured is the handling of tables, tasks and results. Each part runs in a process of its own
and prints its CPU seconds and the peak of its memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from detector.data.index import Face
from detector.errors import DetectorError

VIDEOS, SCORED = 5000, 8
METHODS = ("original", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
MODEL = "tf_efficientnet_lite0"  # takes crops of 16 pixels
CONDITIONS = ("raw", "95", "77", "60", "30", "15", "10", "5")


def rows(crops: int, slot: Any) -> Iterator[Face]:
    """Yield an index of *crops* rows: videos of 1,000 people in five methods, sorted by key."""
    frames = -(-crops // VIDEOS)
    people = VIDEOS // len(METHODS)
    number = 0
    for method in sorted(METHODS, key=lambda name: f"{name}/"):
        for person in range(people):
            # pairs of people share a split, 720 for training, 140 each for validation and test
            other, split = person ^ 1, "train" if person < 720 else "val" if person < 860 else "test"
            real = method == "original"
            name = f"{person:03d}" if real else f"{person:03d}_{other:03d}"
            identity = f"{person:03d}" if real else f"{person:03d}+{other:03d}"
            video, pair = f"{method}/{name}", f"{min(person, other):03d}_{max(person, other):03d}"
            for frame in range(frames):
                if number == crops:
                    return
                number += 1
                yield Face(
                    f"c23/{video}/{frame:04d}", video, "c23", frame, method, identity, pair, split, int(not real),
                    slot.shard, slot.offset, slot.size, slot.crc32, 0, 0.0, round(1 + frame / 997, 5), 1.0,
                    round(frame / 83 - 2, 3), 0, "frame", round(0.9 + frame / 5000, 4),
                )  # fmt: skip


def make(out: Path, crops: int) -> str:
    """Write the folder of crops and the masks of the fakes."""
    from detector.data.files import write_json
    from detector.data.index import row_writer, write_index
    from detector.data.png import encode_png
    from detector.data.shards import ShardWriter, Slot

    out.mkdir(parents=True, exist_ok=True)
    with ShardWriter(out / "faces") as shards:
        slot = shards.add("crop", encode_png(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)))
    write_index(out / "faces/index.csv", rows(crops, slot), "parquet")
    with ShardWriter(out / "faces", stem="masks") as shards:
        mask = shards.add("mask", encode_png(np.full((16, 16), 255, np.uint8)))
    with row_writer(out / "faces/masks.csv", Slot) as add:
        for face in rows(crops, slot):
            if face.label:
                add(replace(mask, key=face.key))
    splits = dict.fromkeys(("train", "val", "test"), 1)
    counts = {"dataset": {"name": "rows"}, "parameters": {"size": 16}, "identities": splits, "videos": {}, "faces": {}}
    write_json(out / "faces/summary.json", counts)
    return f"{sum(path.stat().st_size for path in (out / 'faces/index.parquet').iterdir()) >> 20} MiB of Parquet"


def faces(out: Path, crops: int) -> str:
    """Write what the stage faces writes from its results; one result stands for those of all videos."""
    from detector.config import FacesConfig
    from detector.data import faces as stage
    from detector.data.detection import Detection
    from detector.data.framing import place
    from detector.data.layout import Clip, Tree
    from detector.data.png import encode_png
    from detector.data.shards import Slot

    frames = -(-crops // VIDEOS)
    image = encode_png(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    points = np.array([[50.0, 60.0], [80.0, 60.0], [65.0, 75.0], [52.0, 90.0], [78.0, 90.0]])
    face = Detection((40, 40, 90, 90), points[:2], "frame", points, 0.9)
    placed = place(face, "deepfakebench", 16, (128, 128))
    out.mkdir(parents=True, exist_ok=True)
    result = out / "result"
    result.write_bytes(stage._packed(stage.Cropped([stage.Cut(n, 0, image, face, placed) for n in range(frames)])))
    videos = rows(VIDEOS, Slot("crop", "faces-000000.tar", 0, 0, "00000000"))
    clips = tuple(
        Clip(out / f"{v.video}.mp4", None, "c23", v.method, v.video.split("/")[1], v.identity, v.pair, v.split)
        for v in videos
    )
    folder = out / "written"
    folder.mkdir(parents=True)
    stage._write(folder, Tree(clips, ()), {clip.video: [result] for clip in clips}, FacesConfig(), out, "parquet")
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) >> 20
    shutil.rmtree(folder)
    return f"{frames * len(clips)} crops, {size} MiB of files"


def read_csv(out: Path, crops: int) -> str:
    """Read index.csv."""
    from detector.data import index

    index.columnar = lambda path: Path(path).with_suffix(".none")  # type: ignore[assignment, attr-defined]
    assert len(index.read_index(out / "faces")) == crops
    return f"{(out / 'faces/index.csv').stat().st_size >> 20} MiB of CSV"


def read_parquet(out: Path, crops: int) -> str:
    """Read index.parquet."""
    from detector.data.index import read_index

    assert len(read_index(out / "faces")) == crops
    return ""


def sampler(out: Path, crops: int) -> str:
    """Set the two orders of the training crops up and draw the first batch of each."""
    from detector.data.index import read_index
    from detector.loading.order import BalancedOrder, PairedOrder

    del crops
    faces = [face for face in read_index(out / "faces") if face.split == "train"]
    for order in (BalancedOrder, PairedOrder):
        assert len(order(faces, 32, 1).batch(0)) == 32
    return f"{len(faces)} training crops"


def compress(out: Path, crops: int) -> str:
    """Compress the training and validation crops: tasks, results, archives and index, without the encoder."""
    import mozcodec
    from detector.config import CompressConfig
    from detector.data import compress as stage
    from detector.data.work import pack

    del crops
    jpeg = mozcodec.encode(np.zeros((16, 16, 3), np.uint8), quality=77)
    stage.encode_crops = lambda argument: pack([jpeg] * len(argument[1]))
    summary = stage.compress_faces(out / "faces", out / "compressed", 77, CompressConfig(), 1, executor="serial")
    return f"{summary['compress']['bytes'] // len(jpeg)} crops"


def fidelity(out: Path, crops: int) -> str:
    """Measure all crops under eight conditions: tasks, rows and their summary, without the pixels."""
    from detector import fidelity as stage
    from detector.conditions import parse_all

    def measured(argument: Any) -> bytes:
        _, faces, labels = argument
        values = {"psnr": 30.0, "ssim": 0.9, "bytes": 1000, "bits_per_pixel": 1.25}
        return json.dumps([{"key": f.key, "condition": c, **values} for f in faces for c in labels]).encode()

    stage.measure_crops, stage.draw = measured, lambda *_: []
    found = stage.measure(
        out / "faces", out / "fidelity", out / "fidelity.json", parse_all(CONDITIONS), executor="serial"
    )
    assert found["n"]["faces"] == crops
    return f"{crops * (len(CONDITIONS) - 1)} rows"


def audit(out: Path, crops: int) -> str:
    """Audit all crops but for the search for near-duplicates, with constant pixels."""
    from detector.audit import make_audit
    from detector.config import AuditConfig
    from detector.data import properties as stage

    def examined(argument: Any) -> bytes:
        n = len(argument[1])
        rng = np.random.default_rng(n)
        thumbnails = rng.integers(0, 256, (n, 192), dtype=np.uint8)
        words = rng.integers(0, 1 << 63, (n, 4)).astype(np.uint64)
        flat = np.zeros(n, bool)
        return stage._Pixels(np.full(n, 16), rng.random(n), rng.random((n, 3)), thumbnails, words, flat).dumps()

    stage.examine_crops = examined
    found = make_audit(out / "faces", out / "audit", None, AuditConfig())
    return f"{len(found.shortcuts)} properties of {crops} crops"


def train(out: Path, crops: int) -> str:
    """Train one step: all crops are checked, lossless and compressed, and orders set up; nothing is validated."""
    from detector.config import Params, from_mapping
    from detector.training import trainer as stage

    del crops
    said: list[str] = []

    def step(self: Any) -> None:
        with closing(self.loader.batches(self._plan())) as batches:
            self._update(next(batches))
        said.append(f"{len(self.training)} training and {self.num_validation} validation crops")

    stage.Trainer.run_steps = step  # type: ignore[method-assign]
    stage.Trainer.write_outputs = lambda *_: None  # type: ignore[method-assign]
    params = from_mapping(Params, {"model": MODEL, "train": {"steps": 1, "efficientnet": {"pretrained": False}}})
    names = ("compressed", "train", "history.csv", "checkpoints")
    stage.train(params, *(out / name for name in names), lossless=out / "faces")
    return said[0]


def explain(out: Path, crops: int) -> str:
    """Explain 200 fakes and 500 faces of all crops with their masks under eight conditions, with constant maps."""
    import torch

    from detector import explain as stage
    from detector.card import Card
    from detector.config import Params, from_mapping
    from detector.models import build
    from detector.weights import save_model

    del crops
    torch.manual_seed(1)
    save_model(out / "model", build(MODEL).state_dict(), Card(MODEL, {}, 16, 16))

    def explained(argument: Any) -> bytes:
        n = len(argument[1])
        maps = {"grad_cam": np.ones((n, 4, 4), np.float32)}
        return stage.pack_explained(stage.Explained(np.full(n, 0.5), maps, np.zeros((n, 1280), np.float32)))

    stage.explain_crops = explained
    params = from_mapping(Params, {"conditions": list(CONDITIONS)})
    found = stage.explain(out / "faces", out / "model", out / "explain", params, None, 200, 500)
    return f"{max(row.n for row in found)} fakes measured"


def verify(out: Path, crops: int) -> str:
    """Check every byte of the compressed crops, as `detector verify` does."""
    from detector.data import inspect as stage

    del crops
    checked, problems = stage.verify(out / "compressed")
    assert not problems
    return f"{checked} crops"


def scores(out: Path, crops: int) -> str:
    """Score 1,250,000 crops under eight conditions: tasks, resume table, both forms of the table; without the model."""
    from detector import score as stage
    from detector.conditions import parse_all
    from detector.data.crops import crops_key
    from detector.data.index import read_index
    from detector.data.shards import ShardReader
    from detector.data.work import SERIAL, Task, finished, key_of, working_folder

    index = read_index(out / "faces")
    # of ten million rows, all are to be evaluated
    index = [replace(face, split="test") for face in index if face.split == "train"][: crops * 25 // 36]
    conditions, reader = parse_all(CONDITIONS), ShardReader(out / "faces")

    def scored(argument: Sequence[Face]) -> bytes:
        rng = np.random.default_rng(len(argument))
        shift = np.array([face.label for face in argument])[:, None]
        return bytes((rng.normal(size=(len(argument), SCORED)) + shift).tobytes())

    size = stage.BATCHES * 128
    with working_folder(out / "scores.csv") as work:
        chunks = [index[start : start + size] for start in range(0, len(index), size)]
        tasks = [Task(crops_key("x", reader, chunk), chunk[0].key, scored, chunk) for chunk in chunks]
        logits = np.concatenate([np.frombuffer(r).reshape(-1, SCORED) for r in finished(tasks, work, "score", SERIAL)])
        stage.asdict = lambda _: {"weights_sha256": key_of("none")}  # type: ignore[assignment, attr-defined]
        stage.write_scores(out / "scores.csv", index, conditions, 1 / (1 + np.exp(-logits)), None)  # type: ignore[arg-type]
    return f"{logits.size} rows"


def evaluate(out: Path, name: str) -> str:
    """Run ``evaluation metrics`` on a form of the scores."""
    from evaluation.cli import main

    arguments = ["metrics", str(out / name), str(out / f"{name}.json"), "--tables", str(out / f"{name}-tables")]
    main([*arguments, "--quiet"], standalone_mode=False)
    return ""


def metrics_csv(out: Path, crops: int) -> str:
    """Evaluate scores.csv."""
    del crops
    (out / "scores.json").unlink(missing_ok=True)
    return evaluate(out, "scores.csv")


def metrics_parquet(out: Path, crops: int) -> str:
    """Evaluate scores.parquet."""
    del crops
    (out / "scores.json").unlink(missing_ok=True)
    evaluate(out, "scores.parquet")
    one, other = (out / f"scores.{kind}.json" for kind in ("csv", "parquet"))
    return "the same metrics" if one.exists() and one.read_bytes() == other.read_bytes() else "other metrics"


def peak() -> int:
    """Return the most memory that this process has taken, in MiB; DetectorError elsewhere than on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise DetectorError(f"{status}: no such file: memory is measured on Linux")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10


PARTS = {
    part.__name__.replace("_", "-"): part
    for part in (
        make, faces, read_csv, read_parquet, sampler, compress, fidelity, audit, train, explain, verify, scores,
        metrics_csv, metrics_parquet
    )
}  # fmt: skip


@click.command("large-tables")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; repeatable.")
@click.option(
    "--crops", default=1_800_000, show_default=True, type=click.IntRange(VIDEOS), help="Rows of the index that is made."
)
@click.option("--here", is_flag=True, hidden=True)
def command(out: Path, parts: tuple[str, ...], crops: int, here: bool) -> None:
    """Measure the memory and time of the readers of large tables in OUT; parts use the output of earlier ones."""
    for name in parts or PARTS:
        if not here:
            again = [sys.executable, "-m", "tools", "large-tables", str(out), "--part", name, "--crops", str(crops)]
            subprocess.run([*again, "--here"], check=True)
            continue
        start, cpu = time.monotonic(), time.process_time()
        said = PARTS[name](out, crops)
        used, wall = time.process_time() - cpu, time.monotonic() - start
        click.echo(f"{name}: {used:.1f} CPU s, {wall:.1f} s, {peak()} MiB at the peak; {said}")
