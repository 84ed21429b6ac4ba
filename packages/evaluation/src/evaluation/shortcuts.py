"""Shortcuts: how well properties that are unrelated to the forgery separate real from fake items.

A property is a set of numbers or a name per item: the file's format, the sharpness, an 8 x 8 thumbnail. How much a
detector could gain from it is measured by the AUC of a cross-validated logistic regression: each item is scored by a
model trained without its pair (or group of people). Values below .5 therefore mean the same as .5. Intervals are
computed as for every other AUC, clustered by pairs or people; they treat the scores as given, like those of a trained
detector.

Numbers enter as their rank among the training items and, so that any shape of dependence is found, as one of eight
bins of that rank; names enter one-hot. Both are learned from the training part alone, and a name that is not in it
counts as unknown. A linear property enters as its standardised numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .clusters import Clusters, cluster_rows
from .jackknife import Sample
from .threads import check_room_for_blas, one_blas_thread
from .wilson import of_share

__all__ = ["Items", "Property", "Result", "describe", "measure_shortcut", "out_of_fold"]

Floats = NDArray[np.float64]
FOLDS = 5
MOST_ITEMS = 20_000
BINS = 8
MOST_NAMES = 50                        # the most frequent ones; others count as unknown
STRENGTH = 0.1                         # C of the logistic regression: inverse of its L2 penalty
SEED = 1
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Items:
    """The items to compare: the class of N items (1 is fake) and the people they show, as in a table of scores."""

    label: NDArray[np.int8]
    video: NDArray[np.str_]
    pair: NDArray[np.str_]
    identity: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Items:
        return Items(self.label[rows], self.video[rows], self.pair[rows], self.identity[rows])

    @property
    def clusters(self) -> Clusters:
        """What the intervals are clustered by."""
        return cluster_rows(self.video, self.pair, self.identity)


@dataclass(frozen=True, slots=True)
class Property:
    """A property of N items: `numbers` (N, k), nan where unknown, and `names` (N,) text, empty where unknown.

    Either may be absent. `linear`: the numbers enter as they are, standardised.
    """

    numbers: Floats | None = None
    names: NDArray[np.str_] | None = None
    linear: bool = False

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Property:
        return Property(
            None if self.numbers is None else self.numbers[rows],
            None if self.names is None else self.names[rows],
            self.linear,
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each item has a known value."""
        some = [] if self.numbers is None else [~np.isnan(self.numbers).all(axis=1)]
        some += [] if self.names is None else [np.asarray(self.names != "")]
        found: NDArray[np.bool_] = np.logical_or.reduce(some)
        return found

    @property
    def constant(self) -> bool:
        """Whether all items are alike."""
        alike = self.numbers is None or bool((self.numbers == self.numbers[:1]).all())
        return alike and (self.names is None or len(np.unique(self.names)) < 2)


@dataclass(frozen=True, slots=True)
class Result:
    """The AUC of a property with its interval and the numbers of items behind it; nan where `reason` says why."""

    auc: float
    lo: float
    hi: float
    num_real: int
    num_fake: int
    reason: str = ""


def measure_shortcut(items: Items, properties: Sequence[Property], confidence: float = 0.95) -> Result:
    """Return how well *properties*, together, tell the fakes among *items*.

    Items of which none of the properties is known are left out. Of more than 20,000 items, as many that are evenly
    spaced are used.
    """
    known = np.logical_or.reduce([found.known for found in properties])
    num_fake = int(items.label[known].sum())
    counts = (int(known.sum()) - num_fake, num_fake)
    rows = np.flatnonzero(known)
    rows = rows[:: -(-len(rows) // MOST_ITEMS) or 1]
    there, chosen = items[rows], [found[rows] for found in properties]
    if not all(counts):
        without = "items" if not any(counts) else f"{'real' if counts[1] else 'fake'} items"
        return Result(np.nan, np.nan, np.nan, *counts, f"no {without} with this property")
    if all(found.constant for found in chosen):
        return Result(0.5, np.nan, np.nan, *counts, "the same for all items")
    score = out_of_fold(there, chosen)
    if score is None:
        return Result(np.nan, np.nan, np.nan, *counts, "fewer than two groups of people in a class")
    found = of_share(Sample.of(there.label, score, there.clusters).auc(), confidence)
    return Result(found.value, found.lo, found.hi, *counts, found.reason)


def out_of_fold(items: Items, properties: Sequence[Property]) -> Floats | None:
    """Return the logit of every item by a model of the items of other pairs; None with too few pairs of a class."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [len(np.unique(items.pair[items.label == label])) for label in (0, 1)]
    if min(groups) < 2:
        return None
    folds = StratifiedGroupKFold(min(FOLDS, *groups), shuffle=True, random_state=SEED)
    score = np.zeros(len(items))
    with one_blas_thread():
        for train, test in folds.split(items.label, items.label, items.pair):
            score[test] = _logits(items.label[train], properties, train, test)
    return score


def _logits(
    label: NDArray[np.int8], properties: Sequence[Property], train: NDArray[np.intp], test: NDArray[np.intp]
) -> Floats:
    """Return the logits of the rows *test* by a logistic regression on the rows *train*, whose classes are *label*."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(label)) < 2:
        return np.zeros(len(test))
    columns = [column for found in properties for column in _columns(found, train)]
    inputs = np.column_stack(columns)
    check_room_for_blas()
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000).fit(inputs[train], label)
    found: Floats = model.decision_function(inputs[test])
    return found


def _columns(found: Property, train: NDArray[np.intp]) -> list[Floats]:
    """Return the input of all items; ranks, bins, names and scales are those of the items *train*."""
    columns: list[Floats] = []
    if found.numbers is not None:
        for values in found.numbers.T:
            columns += _standardised(values, train) if found.linear else _ranked(values, train)
    if found.names is not None:
        names, counts = np.unique(found.names[train], return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")][:MOST_NAMES]:
            columns.append((found.names == name).astype(np.float64))
    return columns


def _standardised(values: Floats, train: NDArray[np.intp]) -> list[Floats]:
    there = values[train][~np.isnan(values[train])]
    if len(there) == 0 or (deviation := float(there.std())) == 0:
        return [np.zeros(len(values))]
    return [np.nan_to_num((values - there.mean()) / deviation)]


def _ranked(values: Floats, train: NDArray[np.intp]) -> list[Floats]:
    there = np.sort(values[train][~np.isnan(values[train])])
    unknown = np.isnan(values)
    if len(there) == 0:
        return [unknown.astype(np.float64)]
    below, upto = np.searchsorted(there, values, "left"), np.searchsorted(there, values, "right")
    rank = np.where(unknown, 0.5, (below + upto) / (2 * len(there)))
    place = np.where(unknown, -1, np.minimum((rank * BINS).astype(np.intp), BINS - 1))
    columns = [2 * np.sqrt(3) * (rank - 0.5)]                   # of variance one
    columns += [(place == number).astype(np.float64) for number in range(-1, BINS)]
    return columns


def describe(found: Property) -> str:
    """Return the values of *found*: the three commonest names with their shares, or the median (5 % to 95 %)."""
    if found.names is not None:
        names = [str(name) for name in found.names if name]
        common = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
        parts = [f"{name} {_percent(count / len(names))}" for name, count in common[:EXAMPLES]]
        return ", ".join(parts + ([f"{len(common) - EXAMPLES} more"] if len(common) > EXAMPLES else []))
    parts = []
    for values in [] if found.numbers is None else found.numbers.T:
        there = values[~np.isnan(values)]
        if len(there):
            low, middle, high = np.quantile(there, [0.05, 0.5, 0.95])
            parts.append(f"{middle:.3g}" if low == high else f"{middle:.3g} ({low:.3g} to {high:.3g})")
    return " / ".join(parts)


def _percent(share: float) -> str:
    if share == 1:
        return "(all)"
    return "(< 1 %)" if share < 0.005 else "(> 99 %)" if share > 0.995 else f"({100 * share:.0f} %)"
