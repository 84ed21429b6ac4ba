"""The command line of `tools`, built like that of `detector`: lazy imports, errors without a traceback."""

from __future__ import annotations

from functools import partial

import click

from detector.cli import LazyGroup
from detector.ending import run
from evaluation.threads import let_idle_threads_sleep

COMMANDS = {
    "sample": ("tools.sample.command:command", "Make the synthetic sample videos."),
    "study": ("tools.study.command:command", "Compare training recipes on new people, under many JPEG histories."),
    "models": ("tools.models.command:command", "Train every model with random histories and compare them."),
    "coverage": ("tools.coverage.simulate:command", "Simulate the coverage of evaluation's intervals."),
    "coverage-report": (
        "tools.coverage_report:command",
        "Measure each package's line and branch coverage by its own tests.",
    ),
    "faults": ("tools.faults.command:command", "Damage, limit and kill a stage in many ways; see what held."),
    "face-detectors": ("tools.face_detectors:command", "Compare the face detectors by size, brightness and class."),
    "large-tables": ("tools.large_tables:command", "Measure the readers of an index of 1.8 million crops."),
    "mutants": ("tools.mutants.command:command", "Apply small faults to a copy; the tests must catch each."),
    "repeats": ("tools.repeats:command", "Run the tests many times under load; list those that ever fail."),
    "architecture": ("tools.architecture:command", "Write the tables of files in docs/architecture.md."),
    "unlock": ("tools.unlock:command", "Repair DVC's lock files after a crash."),
    "scale": ("tools.scale.command:command", "Test the predictions of detector plan, and simulate the executors."),
    "throughput": ("tools.throughput:command", "Measure images per second of training, loading and inference."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Development commands for this repository; run them in its root folder."""


if __name__ == "__main__":
    let_idle_threads_sleep()
    run(partial(cli, prog_name="python -m tools"))
