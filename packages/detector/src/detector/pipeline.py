"""The pipeline: one row for each stage, in the order in which they run.

These rows are the only declaration of the stages. They define ``dvc.yaml`` and the table in ``docs/architecture.md``
(both written by ``detector dvc-yaml``), the order of ``detector --help``, the name of a training run, the cache key of
finished clips in the faces stage, and what ``detector grid`` looks for in DVC's records.

A row lists what a stage reads and writes and the parameters it uses. The source files that it depends on are computed
from its function (`detector.closure`). They do not include this file: a stage uses only its row, which is in
``dvc.yaml``, where DVC compares it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Params

__all__ = ["STAGES", "Output", "Stage", "makers", "stage"]

# loaded by every command, but not dependencies of a stage
NOT_COUNTED = {
    "detector.cli": "finds the command and reports errors; the modules it imports count",
    "detector.pipeline": "a stage uses only its row, which is in dvc.yaml",
}


@dataclass(frozen=True, slots=True)
class Output:
    """A file or folder that a stage writes; `holds` describes its content in one line of Markdown.

    `kind` is DVC's: ``outs`` go to the cache, ``metrics`` to Git. `figures` are the images of a folder that ``dvc
    plots`` shows: those of the report, so DVC draws no figure of its own.
    """

    path: str
    holds: str = ""
    kind: str = "outs"
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """A row: `command` runs `function` ("module:attribute"), which reads, writes and uses what is listed.

    `params` are dotted names of sections or values in params.yaml. A parameter that the command line carries
    (``${evaluate.replicates}``) is not repeated there. `also` are modules that the function loads by a computed name,
    which `detector.closure` cannot see, each with the reason. `after` are files that the stage does not read: it runs
    only if the stages before it have written them. Their content is always the same, so a new run of those stages does
    not make this one out of date.
    """

    name: str
    summary: str
    function: str
    command: str
    reads: tuple[str, ...]
    writes: tuple[Output, ...]
    params: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The paths that the stage writes."""
        return tuple(output.path for output in self.writes)

    def modules(self) -> dict[str, Path]:
        """Return module -> source file of our modules that the stage can load, except `NOT_COUNTED`."""
        from .closure import source_files

        # the program imports the command, `function`, by name
        program = source_files(f"{self.command.split()[0]}.cli:main", computed=True)
        found = program | source_files(self.function, tuple(sorted(self.also)))
        return {name: path for name, path in sorted(found.items()) if name not in NOT_COUNTED}

    def code_sha256(self) -> str:
        """Return one hash of the source files that the stage can load, including C sources."""
        from .closure import code_sha256

        return code_sha256(self.modules())

    def values(self, params: Params) -> dict[str, Any]:
        """Return the values of `params`, all that the stage may use of *params*; sections are dictionaries."""
        found: dict[str, Any] = {}
        for name in self.params:
            value: Any = params
            for part in name.split("."):
                value = getattr(value, part)
            found[name] = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
        return found


STAGES = (
    Stage(
        name="faces",
        summary="Crop and align the faces of the videos, losslessly.",
        function="detector.data.command:faces",
        command="detector faces data out/faces",
        reads=("data", "pretrained/faces"),
        writes=(
            Output(
                "out/faces",
                "`faces-NNN.tar` + `index.csv`, `masks-NNN.tar` + `masks.csv`, `geometry.csv`, `failures.csv`, "
                "`summary.json`, DeepfakeBench JSON files",
            ),
        ),
        params=("faces",),
    ),
    Stage(
        name="audit",
        summary="Find leaks between splits and properties unrelated to forgery that separate real from fake.",
        function="detector.audit:command",
        command="detector audit out/faces out/audit --data data --passed out/audit.passed",
        reads=("out/faces", "data"),
        writes=(
            Output("out/audit", "`audit.json`, `audit.csv` (a row per crop), `leaks.csv`"),
            Output("out/audit.passed", "always the same text; written only if training may start"),
        ),
        params=("audit", "evaluate.confidence", "max_damaged"),
    ),
    Stage(
        name="compress",
        summary="Encode the training and validation crops with MozJPEG at the training quality.",
        function="detector.data.command:compress",
        command="detector compress out/faces out/compressed",
        reads=("out/faces",),
        writes=(
            Output(
                "out/compressed",
                "`faces-NNN.tar` of JPEG files + `index.csv` (the rows of train and val, own offsets), `summary.json` "
                "with `compress` added",
            ),
        ),
        params=("quality", "compress", "max_damaged"),
    ),
    Stage(
        name="fidelity",
        summary="Measure PSNR, SSIM and bits per pixel of the crops under every condition.",
        function="detector.fidelity:command",
        command="detector fidelity out/faces out/fidelity out/fidelity.json",
        reads=("out/faces",),
        writes=(
            Output("out/fidelity", "`images.csv`, `panels.csv`, `panels/*.png`, `encoders.json`"),
            Output("out/fidelity.json", "means and percentiles"),
        ),
        params=("conditions", "max_damaged"),
    ),
    Stage(
        name="train",
        summary="Train a model on crops with random JPEG histories.",
        function="detector.training.command:command",
        command="detector train out/compressed out/train --faces out/faces --history out/plots/history.csv",
        reads=("out/compressed", "out/faces", "pretrained"),
        writes=(
            Output("out/train", "`weights.safetensors`, `model.json`, `model_card.md`, `log.jsonl`"),
            Output("out/plots/history.csv", "loss over the steps"),
        ),
        # compress: the encoder settings of the crops are part of the run's name
        params=("seed", "model", "train", "compress", "max_damaged"),
        after=("out/audit.passed",),
    ),
    Stage(
        name="score",
        summary="Score the validation and test crops under every condition.",
        function="detector.score:command",
        command="detector score out/faces out/train out/scores.csv",
        reads=("out/faces", "out/train"),
        writes=(
            Output("out/scores.csv", "one row per face and condition"),
            Output("out/scores.json", "the weights, crops and versions behind the scores"),
        ),
        params=("conditions", "score", "train.reproducible", "train.threads", "max_damaged"),
    ),
    Stage(
        name="explain",
        summary="Show where the model looks: heat maps, their share in the masks, features.",
        function="detector.explain:command",
        command="detector explain out/faces out/train out/explain",
        reads=("out/faces", "out/train"),
        writes=(Output("out/explain", "`maps.csv`, `maps/*.png`, `localization.csv`, `features.npy`, `features.csv`"),),
        params=("conditions", "train.reproducible", "train.threads", "max_damaged"),
    ),
    Stage(
        name="evaluate",
        summary="Compute metrics with confidence intervals from the scores.",
        function="evaluation.cli:metrics",
        command=(
            "evaluation metrics out/scores.csv out/metrics.json --headline out/headline.json --tables out/tables "
            "--replicates ${evaluate.replicates} --confidence ${evaluate.confidence} --seed ${seed} --quiet"
        ),
        reads=("out/scores.csv", "out/scores.json"),
        writes=(
            Output("out/tables", "`*.csv`, `settings.json`"),
            Output("out/metrics.json", "every metric with its interval"),
            Output("out/headline.json", "the 6 numbers that `dvc metrics diff` compares", kind="metrics"),
        ),
    ),
    Stage(
        name="report",
        summary="Write the report, one self-contained page.",
        function="evaluation.cli:report",
        command=(
            "evaluation report out/report --metrics out/metrics.json --scores out/scores.csv --tables out/tables "
            "--fidelity out/fidelity --fidelity-summary out/fidelity.json --faces out/faces/summary.json "
            "--failures out/faces/failures.csv --training out/train --explain out/explain --audit out/audit/audit.json "
            "--crops out/faces --useful ${evaluate.useful_balanced_accuracy} "
            "--equivalent ${evaluate.equivalent_auc_drop}"
        ),
        reads=(
            "out/metrics.json",
            "out/scores.csv",
            "out/scores.json",
            "out/tables",
            "out/fidelity",
            "out/fidelity.json",
            "out/faces",
            "out/train",
            "out/explain",
            "out/audit/audit.json",
            "out/audit/files.sha256",
        ),
        writes=(
            Output(
                "out/report",
                "`index.html`, the same as `report.md`, figures as PNG, `tables/*.csv`, `citation.bib`",
                figures=tuple(
                    f"{name}.png"
                    for name in (
                        "matrix", "robustness", "curves", "roc", "metrics", "compression", "features", "history"
                    )
                ),
            ),
        ),
    ),
)


def stage(name: str) -> Stage:
    """Return the row of the stage *name*."""
    return next(row for row in STAGES if row.name == name)


def makers(path: str) -> tuple[Stage, ...]:
    """Return the stages whose outputs *path* is made from, directly or indirectly, in order; `Stage.after` is not."""
    wanted, found = {path}, []
    for row in reversed(STAGES):
        if any(_overlap(output, need) for output in row.outputs for need in wanted):
            found.append(row)
            wanted.update(row.reads)
    return tuple(reversed(found))


def _overlap(output: str, path: str) -> bool:
    return Path(path).is_relative_to(output) or Path(output).is_relative_to(path)
