"""Feature vectors, the input of a model's last layer: their t-SNE embedding and silhouette."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clusters import UNIT_NAMES, Clusters, cluster_rows
from .files import FileError, check_unchanged, read_csv
from .jackknife import jackknife
from .wilson import Range, of_mean

__all__ = ["Features", "embed", "read", "silhouette", "silhouette_range"]

PERPLEXITY = 30.0
SEED = 1
AGAIN = "run `detector explain` again to rewrite it"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of features.csv."""

    key: str
    method: str
    label: int
    condition: str
    score: float
    video: str = ""                    # files of earlier versions lack it, or the next two
    identity: str = ""
    pair: str = ""

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"label must be 0 (real) or 1 (fake), found {self.label}")


@dataclass(frozen=True, slots=True)
class Features:
    """Vectors, float64 (N, D), with the key, method, label (1 = fake), condition and score of each row."""

    vectors: NDArray[np.float64]
    method: NDArray[np.str_]
    label: NDArray[np.int8]
    condition: NDArray[np.str_]
    key: NDArray[np.str_]
    score: NDArray[np.float64]
    clusters: Clusters | None = None                                     # None: the people are not known

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def conditions(self) -> list[str]:
        """The conditions that occur, in the order of the rows."""
        return list(dict.fromkeys(self.condition.tolist()))


def read(vectors: str | Path, table: str | Path) -> Features:
    """Return the vectors of a .npy file (N, D) and the rows of the CSV file *table* that describe them.

    ValueError names the file that is not readable, has another number of rows, or holds values that are not finite.
    """
    rows = read_csv(table, _Row, AGAIN)
    try:
        found: NDArray[Any] = np.load(vectors, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, OverflowError, MemoryError) as error:
        raise FileError(f"{vectors}: not a NumPy array file: {error}; {AGAIN}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.ndim != 2 or len(found) != len(rows):
        raise FileError(
            f"{vectors}: expected {len(rows)} vectors of floating-point numbers, one for each row of {table}, found "
            f"{getattr(found, 'dtype', 'an archive')} {getattr(found, 'shape', '')}; {AGAIN}"
        )
    check_unchanged(vectors)
    if not np.isfinite(found).all():
        raise FileError(f"{vectors}: row {int(np.argmin(np.isfinite(found).all(1)))} is not finite; {AGAIN}")
    return Features(
        vectors=found.astype(np.float64),
        method=np.array([row.method for row in rows], np.str_),
        label=np.array([row.label for row in rows], np.int8),
        condition=np.array([row.condition for row in rows], np.str_),
        key=np.array([row.key for row in rows], np.str_),
        score=np.array([row.score for row in rows], np.float64),
        clusters=_clusters(rows),
    )


def _clusters(rows: list[_Row]) -> Clusters | None:
    columns = [np.array([getattr(row, name) for row in rows], np.str_) for name in ("video", "pair", "identity")]
    return cluster_rows(*columns) if rows and all((column != "").all() for column in columns) else None


def _count_cores() -> None:
    """Let joblib (used by scikit-learn) count physical cores once, silently where /sys does not give their number.

    It would print a warning and a traceback in the middle of a report, at its first count only.
    """
    import joblib

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message="Could not find the number of physical cores", category=UserWarning)
        joblib.cpu_count(only_physical_cores=True)


def embed(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the t-SNE embedding (N, 2) of the vectors (N, D) (van der Maaten and Hinton 2008, scikit-learn's).

    Columns are standardised first, so that none dominates by its scale. The perplexity is 30, or (N - 1) / 3 where that
    is less. The embedding starts from the principal components, so that equal vectors give an equal result. nan for
    fewer than five vectors.
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
    _count_cores()
    return np.asarray(tsne.fit_transform(standard), np.float64)


def silhouette_range(found: Features, condition: str, confidence: float = 0.95) -> Range:
    """Return the `silhouette` of the vectors of one condition with a t interval by delete-one-cluster values."""
    rows = np.flatnonzero(found.condition == condition)
    vectors, label = found.vectors[rows], found.label[rows]
    value = silhouette(vectors, label)
    if np.isnan(value):
        return Range(value, np.nan, np.nan, "a class is missing, or all vectors are equal")
    if found.clusters is None:
        return Range(value, np.nan, np.nan, "the table features.csv does not say which people the faces show")
    clusters = found.clusters[rows]
    if clusters.unit == "person":
        return Range(value, np.nan, np.nan, "people occur in several pairs, so no cluster can be left out")
    _, code = np.unique(clusters.code[:, 0], return_inverse=True)
    size = np.bincount(code).astype(np.float64)
    if len(size) < 2:
        return Range(value, np.nan, np.nan, f"fewer than two {UNIT_NAMES[clusters.unit]}")
    left_out = _without_each(vectors, label.astype(np.intp), code)
    estimate = jackknife(value, left_out, size, len(rows), np.ones(len(size)), len(size))
    value, lo, hi, reason = of_mean(estimate, confidence)
    return Range(value, max(lo, -1.0), min(hi, 1.0), reason)


def _without_each(vectors: NDArray[np.float64], label: NDArray[np.intp], code: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the silhouette without the rows of each cluster (C,), from sums of distances by class and cluster."""
    from sklearn.metrics import pairwise_distances_chunked

    count, rows = int(code.max()) + 1, np.arange(len(code))
    member = np.zeros((len(code), 2 * count))
    member[rows, label * count + code] = 1
    _count_cores()
    parts = list(pairwise_distances_chunked(vectors, reduce_func=lambda block, _start: block @ member))
    sums = np.concatenate(parts).reshape(len(code), 2, count)            # of distances, by class and cluster
    of_class = np.array([np.bincount(code[label == side], minlength=count) for side in (0, 1)])
    kept = of_class.sum(1)[:, None] - of_class                           # (2, C) rows of a class without each cluster
    own, other = ((sums.sum(2)[rows, side][:, None] - sums[rows, side]) for side in (label, 1 - label))
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = own / (kept[label] - 1), other / kept[1 - label]
        of_rows = np.where(kept[label] > 1, (b - a) / np.maximum(a, b), 0.0)
    of_rows[rows, code] = 0
    found: NDArray[np.float64] = of_rows.sum(0) / kept.sum(0)
    return found


def silhouette(vectors: NDArray[np.float64], label: NDArray[np.int8]) -> float:
    """Return the silhouette of the classes real and fake: near 1 for separate clusters, 0 for mixed (Rousseeuw 1987).

    nan where a class is missing or all vectors are equal.
    """
    if np.bincount(label, minlength=2).min() < 1 or len(label) < 3 or not np.ptp(vectors, axis=0).any():
        return float("nan")
    from sklearn.metrics import silhouette_score

    _count_cores()
    return float(silhouette_score(vectors, label))
