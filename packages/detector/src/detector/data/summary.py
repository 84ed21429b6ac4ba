"""``dataset.json`` of the videos and ``summary.json`` of packed crops: the origin of the data and their processing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ..conditions import canonical
from ..errors import DataError
from ..schema import in_range, read_json

__all__ = ["Compress", "Dataset", "Summary", "describe_data", "read_lossless", "read_summary"]

SUMMARY = "summary.json"
REMEDY = "make the crops again (detector faces, detector compress, or dvc repro)"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The content of ``dataset.json``; None for missing keys. Other keys are ignored."""

    name: str | None = None
    synthetic: bool | None = None
    note: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Compress:
    """How packed crops were encoded: quality, the options given to mozjpeg (None: its default), and the encoder."""

    quality: Annotated[int, in_range(1, 100)]
    subsampling: str | None = None
    tune: str | None = None
    encoder: dict[str, Any] | None = None

    @property
    def condition(self) -> str:
        """The equivalent condition: ``77``, or ``moz:77/4:2:0`` if an option was given."""
        return canonical("/".join([f"moz:{self.quality}", *(o for o in (self.subsampling, self.tune) if o)]))


@dataclass(frozen=True, slots=True)
class Summary:
    """Packed crops: their data set, the parameters of the faces stage, persons by split, videos and crops by method and
    split, and how they were compressed, None for lossless ones."""

    dataset: Dataset
    parameters: dict[str, Any]
    identities: dict[str, int]
    videos: dict[str, dict[str, int]]
    faces: dict[str, dict[str, int]]
    compress: Compress | None = None
    damaged: tuple[str, ...] = ()  # keys of crops that were left out


def read_summary(folder: str | Path) -> Summary:
    """Return the summary of the packed crops in *folder*; DataError if it is missing or damaged."""
    return read_json(Path(folder) / SUMMARY, Summary, REMEDY)


def read_lossless(folder: str | Path) -> Summary:
    """Return the summary of the lossless crops in *folder*; DataError if they are compressed, or `read_summary` fails.

    Everything that applies conditions to crops calls this first: compressed crops would be mistaken for ``raw`` and
    compressed a second time.
    """
    summary = read_summary(folder)
    if summary.compress is not None:
        raise DataError(
            f"{Path(folder) / SUMMARY}: these crops are already compressed ({summary.compress.condition}); name the "
            "folder of lossless crops that they were made from (written by detector faces, such as out/faces)"
        )
    return summary


def describe_data(data: str | Path) -> Dataset:
    """Return the content of ``dataset.json`` in *data*, or a record with the folder's name if there is none."""
    path = Path(data) / "dataset.json"
    if not path.exists():
        return Dataset(Path(os.path.realpath(data)).name, None, "the videos came without a dataset.json")
    return read_json(path, Dataset, 'expected {"name": "...", "synthetic": true or false, "note": "..."}')
