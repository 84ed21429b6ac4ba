"""The stages on a small sample: what each reads, runs and writes, and one undisturbed run of them all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import DetectorError

from .warm import Request, Result, Warm

__all__ = ["STAGES", "Bench", "Stage", "differences", "files", "prepare"]

DATA = Path("data")  # the sample videos, one pair of each split is taken
METHODS = ("Deepfakes",)
PARAMS = """\
quality: 77
model: meso4
seed: 1
conditions: [raw, 77]
faces: {methods: [Deepfakes], size: 64, frames_real: 2, frames_fake: 2}
train:
  steps: 3
  batch_size: 4
  log_every: 1
  eval_every: 3
  threads: 1
  conditions: [raw, 77]
  checkpoint: {every_steps: 1, every_seconds: 60, keep: 2}
score: {batch_size: 8}
evaluate: {replicates: 10}
"""


@dataclass(frozen=True)
class Stage:
    """One command: `reads` and `writes` are paths in the folder of a trial.

    `left` are names that may stay there, `withdrawn` are outputs that the stage removes before it begins. `marker` is
    the file that is written last: without it the outputs count as missing. With `resumes`, the stage finds its own
    output and does only what is missing, so it runs under limits without one.
    """

    name: str
    argv: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    left: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    marker: str = ""
    resumes: bool = False

    def written(self, folder: Path) -> list[str]:
        """Return the outputs that are in *folder*."""
        if self.marker and not (folder / self.marker).exists():
            return []
        return [name for name in self.writes if (folder / name).exists()]


def _stage(
    line: str, reads: str, writes: str, left: str = "", withdrawn: str = "", marker: str = "", resumes: bool = False
) -> Stage:
    argv = tuple(line.split())
    name = {"metrics": "evaluate"}.get(argv[1], argv[1])
    return Stage(
        name,
        argv,
        ("params.yaml", *reads.split()),
        tuple(writes.split()),
        tuple(left.split()),
        tuple(withdrawn.split()),
        marker,
        resumes,
    )


STAGES = {
    stage.name: stage
    for stage in (
        _stage("detector faces data out/faces --executor serial", "data", "out/faces"),
        _stage(
            "detector audit out/faces out/audit --data data --passed out/audit.passed --executor serial",
            "data out/faces",
            "out/audit out/audit.passed",
            withdrawn="out/audit.passed",
        ),
        _stage("detector compress out/faces out/compressed --executor serial", "out/faces", "out/compressed"),
        _stage(
            "detector fidelity out/faces out/fidelity out/fidelity.json --executor serial",
            "out/faces",
            "out/fidelity out/fidelity.json",
        ),
        _stage(
            "detector train out/compressed out/train --faces out/faces --history out/history.csv"
            " --checkpoints out/checkpoints",
            "out/compressed out/faces",
            "out/train out/history.csv",
            "out/checkpoints out/logs",
            marker="out/train/model.json",
            resumes=True,
        ),
        _stage(
            "detector score out/faces out/train out/scores.csv --executor serial",
            "out/faces out/train",
            "out/scores.csv out/scores.json",
        ),
        _stage(
            "detector explain out/faces out/train out/explain --executor serial", "out/faces out/train", "out/explain"
        ),
        _stage(
            "evaluation metrics out/scores.csv out/metrics.json --headline out/headline.json --tables out/tables"
            " --replicates 10 --quiet",
            "out/scores.csv out/scores.json",
            "out/metrics.json out/headline.json out/tables",
        ),
        _stage(
            "evaluation report out/report --metrics out/metrics.json --scores out/scores.csv --tables out/tables"
            " --fidelity out/fidelity --fidelity-summary out/fidelity.json --faces out/faces/summary.json"
            " --failures out/faces/failures.csv --training out/train --explain out/explain"
            " --audit out/audit/audit.json --crops out/faces",
            "out/metrics.json out/scores.csv out/scores.json out/tables out/fidelity out/fidelity.json out/faces"
            " out/train out/explain out/audit",
            "out/report",
        ),
        _stage(
            "detector predict --train out/train --frames 2 --out out/answers.jsonl image.png video.mp4",
            "out/train image.png video.mp4",
            "out/answers.jsonl",
            resumes=True,
        ),
    )
}


@dataclass(frozen=True)
class Bench:
    """The sample with the output of every stage, in *folder*, and the process that runs trials.

    seconds: that each stage takes undisturbed.
    """

    folder: Path
    warm: Warm
    seconds: dict[str, float]

    def place(self, stage: Stage, folder: Path, outputs: bool = False) -> None:
        """Copy what *stage* reads to *folder*, and with *outputs* what it has written."""
        for name in (*stage.reads, *(stage.writes if outputs else ())):
            copy(self.folder / name, folder / name)
        (folder / "out").mkdir(exist_ok=True)

    def run(self, stage: Stage, folder: Path, **request: object) -> Result:
        """Run *stage* in *folder*; keywords are those of `Request`."""
        return self.warm.run(Request([*stage.argv], str(folder), **request))  # type: ignore[arg-type]

    def wrong(self, stage: Stage, folder: Path, names: Sequence[str] | None = None) -> str:
        """Return how the outputs (*names*: only these) in *folder* differ from those of an undisturbed run.

        Empty text if they do not.
        """
        found = differences(self.folder, folder, stage.writes if names is None else names)
        return f"other bytes: {', '.join(found[:5])}" if found else ""

    def leftovers(self, stage: Stage, folder: Path) -> list[str]:
        """Return the names in *folder* that are neither inputs nor outputs."""
        known = {*stage.reads, *stage.writes, *stage.left, "out"}
        paths = (*folder.iterdir(), *(folder / "out").iterdir()) if folder.exists() else ()
        return sorted(
            name for path in paths if (name := str(path.relative_to(folder))) not in known and not _above(name, known)
        )


def _above(name: str, known: set[str]) -> bool:
    return any(other.startswith(f"{name}/") for other in known)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder; the folders above it are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def files(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield the files below *names* in *folder*, relative to it, sorted."""
    for name in names:
        path = folder / name
        if path.is_dir():
            yield from sorted(str(found.relative_to(folder)) for found in path.rglob("*") if found.is_file())
        elif path.exists():
            yield name


def differences(one: Path, other: Path, names: Sequence[str]) -> list[str]:
    """Return the files below *names* that are in one folder only, or have other bytes."""
    first, second = set(files(one, names)), set(files(other, names))
    return sorted(
        name
        for name in first | second
        if name not in first & second or (one / name).read_bytes() != (other / name).read_bytes()
    )


def prepare(folder: Path, warm: Warm) -> Bench:
    """Write the sample to *folder* and run all stages."""
    (folder / "out").mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    names: set[str] = set()
    for split in ("train", "val", "test"):
        pair = json.loads((DATA / "splits" / f"{split}.json").read_text(encoding="utf-8"))[0]
        (folder / "data/splits").mkdir(parents=True, exist_ok=True)
        (folder / "data/splits" / f"{split}.json").write_text(json.dumps([pair]), encoding="utf-8")
        names |= {*pair, "_".join(pair), "_".join(pair[::-1])}
    for path in sorted(DATA.rglob("*.mp4")):
        if path.stem in names and "c40" not in path.parts and ({"youtube", *METHODS} & {*path.parts}):
            copy(path, folder / path)
    copy(DATA / "dataset.json", folder / "data/dataset.json")
    video = sorted((folder / "data/manipulated_sequences").rglob("c23/videos/*.mp4"))[0]
    copy(video, folder / "video.mp4")
    write_image(video, folder / "image.png")
    bench = Bench(folder, warm, {})
    for stage in STAGES.values():
        result = bench.run(stage, folder)
        if result.code:
            raise DetectorError(f"the stage {stage.name} fails without a fault: {result.code} {result.text}")
        bench.seconds[stage.name] = result.seconds
    shutil.rmtree(folder / "out/checkpoints", ignore_errors=True)
    return bench


def write_image(video: Path, path: Path) -> None:
    """Write the first frame of *video* as a PNG file."""
    import av

    from detector.data.png import encode_png

    with av.open(os.fspath(video)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    path.write_bytes(encode_png(frame))
