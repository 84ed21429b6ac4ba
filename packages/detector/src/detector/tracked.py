"""Files named by parameters: a stage accepts them only where DVC tracks their content."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ConfigError
from .pipeline import stage

__all__ = ["check_tracked"]


def check_tracked(name: str, parameter: str, path: Path) -> None:
    """Raise `ConfigError` if DVC runs the stage *name* and *path*, which *parameter* names, is in none of its reads.

    DVC compares the content of dependencies in dvc.yaml, but only the text of a path in params.yaml. Without DVC, any
    path is accepted.
    """
    root = os.environ.get("DVC_ROOT")
    reads = stage(name).reads
    resolved = Path(os.path.realpath(path))
    if root is None or any(resolved.is_relative_to(os.path.realpath(Path(root) / read)) for read in reads):
        return
    folder = next(read for read in reads if read.split("/")[0] == "pretrained")
    raise ConfigError(
        f"{parameter}: DVC would not notice a change of {path}: it tracks {folder}/ only. "
        f"Copy the weights there (for queued experiments also run: dvc add {folder}/...)"
    )
