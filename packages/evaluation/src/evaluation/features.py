"""Feature vectors: what a model's last layer sees, drawn in the plane and measured where it lies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scores import sorted_qualities
from .tables import read_csv

__all__ = ["Features", "embed", "read", "silhouette"]

COLUMNS = ("key", "video", "method", "split", "label", "quality", "score")
PERPLEXITY = 30.0
SEED = 1


@dataclass(frozen=True, slots=True)
class Features:
    """Vectors, float64 (N, D), with the method, label (1 = fake) and quality of each row."""

    vectors: NDArray[np.float64]
    method: NDArray[np.str_]
    label: NDArray[np.int8]
    quality: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def qualities(self) -> list[str]:
        """The qualities that occur, ``raw`` first, then from high to low."""
        return sorted_qualities({str(quality) for quality in self.quality})


def read(vectors: str | Path, table: str | Path) -> Features:
    """Return the vectors of a .npy file (N, D) with the CSV table that has a row for each.

    ValueError names the file if it is none, if there are not as many rows as vectors, or one is not finite.
    """
    rows = read_csv(table, COLUMNS, text=("key", "video", "method", "split", "quality"), whole=("label",))
    try:
        found: NDArray[Any] = np.load(vectors, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{vectors} is no array of NumPy: {error}") from error
    if found.ndim != 2 or len(found) != len(rows):
        raise ValueError(f"{vectors} has the shape {found.shape}, but {table} has {len(rows)} rows")
    if not np.isfinite(found).all():
        raise ValueError(f"{vectors} holds values that are not finite")
    columns = {name: np.array([row[name] for row in rows]) for name in ("method", "label", "quality")}
    return Features(
        found.astype(np.float64),
        columns["method"].astype(np.str_),
        columns["label"].astype(np.int8),
        columns["quality"].astype(np.str_),
    )


@contextmanager
def _any_number_of_cores() -> Iterator[None]:
    """Within it joblib, which scikit-learn asks for the number of cores, does not warn where /sys does not tell it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find the number of physical cores", category=UserWarning)
        yield


def embed(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vectors (N, D) in the plane, (N, 2), by t-SNE (van der Maaten and Hinton 2008, scikit-learn's).

    Columns are standardised first, so that none counts for its unit; perplexity 30, or a third of N where there are
    fewer than 90; started from the principal components, so that the same vectors give the same picture. nan for fewer
    than five.
    """
    if len(vectors) < 5:
        return np.full((len(vectors), 2), np.nan)
    from sklearn.manifold import TSNE

    centered = vectors - vectors.mean(0)
    deviation = centered.std(0)
    standard = centered / np.where(deviation > 0, deviation, 1.0)
    if standard.shape[1] < 2:
        standard = np.column_stack([standard, np.zeros(len(standard))])
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=SEED, n_jobs=1)
    with _any_number_of_cores():
        return np.asarray(tsne.fit_transform(standard), np.float64)


def silhouette(features: Features) -> float:
    """Return how far real and fake lie apart in the vectors themselves: 1 two clusters, 0 mixed (Rousseeuw 1987).

    nan where a class is missing or everything lies in one place.
    """
    counts = np.bincount(features.label, minlength=2)
    if counts.min() < 1 or len(features) < 3 or not np.ptp(features.vectors, axis=0).any():
        return float("nan")
    from sklearn.metrics import silhouette_score

    with _any_number_of_cores():
        return float(silhouette_score(features.vectors, features.label))
