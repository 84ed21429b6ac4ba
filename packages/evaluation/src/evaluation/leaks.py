"""Leaks between splits: people, pairs, identical files and near-duplicates that training and test share.

**Near-duplicates** are crops whose perceptual hashes are close. The hash: the crop as 32 x 32 gray values (means over
areas), its two-dimensional DCT-II, the signs of the 16 x 16 coefficients of lowest frequency but the first, 255 bits.
The distance of two crops is the number of bits that differ, the smaller of the two when one of them is also mirrored
left to right. A near-uniform crop has no hash.

Mirroring changes the sign of exactly the 128 coefficients of odd horizontal frequency. With e and o, the numbers of
bits that differ among those of even and of odd horizontal frequency, the distance is e + min(o, 128 - o). All crop
pairs are compared by e, which few of them pass; the work grows with the product of the numbers of crops.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DEFINITION",
    "Found",
    "NearDuplicates",
    "Search",
    "Shared",
    "hashes",
    "near_duplicates",
    "search",
    "search_here",
    "shared",
]

SIDE, LOW = 32, 16                     # gray values of a thumbnail; coefficients kept, each way
BITS = LOW * LOW - 1
FLAT = 2.0                             # standard deviation of gray values below which a crop has no hash
ROWS, COLUMNS = 32, 4096               # compared at a time: the intermediate arrays stay in the processor's cache
SEARCHED = 65_536                      # hashes of each side of a `Search` at most
MOST_SAMPLED = 4000                    # crops of a split from which false alarms are counted
DEFINITION = (
    f"signs of the {BITS} lowest DCT coefficients of the gray crop at {SIDE} x {SIDE} pixels; the distance is the "
    "number of bits that differ, mirrored or not"
)

Words = NDArray[np.uint64]             # (N, 4)


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that occurs in several splits: its name, and an item of each split, in the order of the splits."""

    name: str
    items: dict[str, str]              # split -> item


def shared(names: Sequence[Sequence[str]], splits: Sequence[str], items: Sequence[str]) -> list[Shared]:
    """Return the names that occur in more than one split, sorted. *names* (N): what each item shows or is."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for several, split, item in zip(names, splits, items, strict=True):
        for name in several:
            found[name].setdefault(split, item)
    order = {split: number for number, split in enumerate(dict.fromkeys(splits))}
    return [
        Shared(name, dict(sorted(places.items(), key=lambda place: order[place[0]])))
        for name, places in sorted(found.items())
        if len(places) > 1
    ]


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Near-duplicates between splits, and how often different people of one split are as close.

    `pairs`: (distance, position, position) of the closest crop pairs, sorted. `num_near` of `num_compared` crop pairs
    across splits are within `limit`, and so are `num_false` of `num_different` crop pairs of different people within
    one split.
    """

    limit: int
    pairs: list[tuple[int, int, int]]
    num_near: int
    num_compared: int
    num_false: int
    num_different: int

    @property
    def false_alarm_rate(self) -> float:
        return self.num_false / self.num_different if self.num_different else float("nan")

    @property
    def expected(self) -> float:
        """The number of crop pairs across splits that would be this close if all showed different people."""
        return self.false_alarm_rate * self.num_compared

    @property
    def is_leak(self) -> bool:
        """Whether there are more of them than twice the expected number."""
        expected = self.expected
        return self.num_near > (0 if np.isnan(expected) else 2 * expected)


def hashes(gray: ArrayLike) -> tuple[Words, NDArray[np.bool_]]:
    """Return the hashes (N, 4) of thumbnails (N, 32, 32), and whether each has one."""
    from scipy.fft import dctn

    images = np.asarray(gray, dtype=np.float64)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"expected thumbnails of the shape (N, {SIDE}, {SIDE}), got {images.shape}")
    coefficients = dctn(images, axes=(1, 2), norm="ortho")[:, :LOW, :LOW]
    bits = coefficients > 0
    bits[:, 0, 0] = False
    return _packed(bits), images.std(axis=(1, 2)) >= FLAT


def _packed(bits: NDArray[np.bool_]) -> Words:
    return np.packbits(bits.reshape(len(bits), math.prod(bits.shape[1:])), axis=1).view(np.uint64)


ODD = LOW * LOW // 2                    # bits of odd horizontal frequency


@dataclass(frozen=True, slots=True)
class Search:
    """A part of the comparison: each of the hashes from `start` to `stop` with each from `other_start` to `other_stop`.

    It finds the pairs whose distance is at most `limit`, and lists the closest `most`.
    """

    start: int
    stop: int
    other_start: int
    other_stop: int
    limit: int
    most: int

    @property
    def pairs(self) -> int:
        """The number of pairs that are compared."""
        return (self.stop - self.start) * (self.other_stop - self.other_start)


@dataclass(frozen=True, slots=True)
class Found:
    """The number of pairs within the limit, and the closest: (distance, row, row among the others), sorted."""

    number: int
    pairs: list[tuple[int, int, int]]


def search(one: Words, others: Words, limit: int, most: int) -> Found:
    """Compare each of the hashes *one* (n, 4) with each of *others* (m, 4)."""
    number = 0
    pairs: list[tuple[int, int, int]] = []
    for distance, i, j in _near(one, others, limit):
        number += len(i)
        pairs = sorted([*pairs, *zip(distance.tolist(), i.tolist(), j.tolist(), strict=True)])[:most]
    return Found(number, pairs)


def search_here(hashed: Words, parts: Iterable[Search]) -> Iterator[Found]:
    """Yield the results of *parts* of *hashed* (N, 4), computed one after the other in this process."""
    for part in parts:
        one, others = hashed[part.start : part.stop], hashed[part.other_start : part.other_stop]
        yield search(one, others, part.limit, part.most)


def distances(one: Words, others: Words) -> NDArray[np.int64]:
    """Return the distances (n, m) of each of *one* (n, 4) to each of *others* (m, 4)."""
    even, odd = (_counted(a[:, None] ^ b[None]) for a, b in zip(_halves(one), _halves(others), strict=True))
    return even + np.minimum(odd, ODD - odd)


def _halves(hashed: Words) -> tuple[Words, Words]:
    """Return the bits of even and of odd horizontal frequency of hashes (N, 4), each (N, 2)."""
    bits = np.unpackbits(np.ascontiguousarray(hashed).view(np.uint8), axis=1).reshape(len(hashed), LOW, LOW) > 0
    return _packed(bits[:, :, ::2]), _packed(bits[:, :, 1::2])


def _counted(words: Words) -> NDArray[np.int64]:
    total: NDArray[np.int64] = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
    return total


def _near(
    one: Words, others: Words, limit: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the distances of at most *limit*, and their rows of *one* and of *others*, block by block."""
    (even, odd), (others_even, others_odd) = _halves(one), _halves(others)
    columns = np.ascontiguousarray(others_even.T)
    for start in range(0, len(others), COLUMNS):
        first, second = columns[:, start : start + COLUMNS]
        for row in range(0, len(one), ROWS):
            some = even[row : row + ROWS]
            differing = np.bitwise_count(some[:, :1] ^ first)             # at most 128 bits in both words
            differing += np.bitwise_count(some[:, 1:] ^ second)
            i, j = np.nonzero(differing <= limit)
            if len(i):
                rest = _counted(odd[row + i] ^ others_odd[start + j])
                distance = differing[i, j] + np.minimum(rest, ODD - rest)
                close = distance <= limit
                if close.any():
                    yield distance[close], row + i[close], start + j[close]


def near_duplicates(
    hashed: Words,
    valid: NDArray[np.bool_],
    split: NDArray[np.str_],
    pair: NDArray[np.str_],
    limit: int,
    most: int = 20,
    searched: Callable[[Words, Sequence[Search]], Iterable[Found]] = search_here,
) -> NearDuplicates:
    """Return the crop pairs across splits whose hashes differ in at most *limit* bits.

    *pair* names the people of each crop: crops of different pairs in one split show different people, as far as is
    known, and give the rate of false alarms. *most* is the number of crop pairs listed. *searched* returns the results
    of the parts of the comparison, which have at most `SEARCHED` hashes a side, in their order.
    """
    places = [np.flatnonzero((split == name) & valid) for name in dict.fromkeys(split.tolist())]
    ends = np.cumsum([0, *map(len, places)]).tolist()
    parts = [
        Search(i, min(i + SEARCHED, ends[here + 1]), j, min(j + SEARCHED, ends[there + 1]), limit, most)
        for here, there in combinations(range(len(places)), 2)
        for i in range(ends[here], ends[here + 1], SEARCHED)
        for j in range(ends[there], ends[there + 1], SEARCHED)
    ]
    position = np.concatenate([*places, np.empty(0, np.intp)])            # in the order of the splits
    found: list[tuple[int, int, int]] = []
    num_near = num_false = num_different = 0
    for part, result in zip(parts, searched(hashed[position], parts), strict=True):
        num_near += result.number
        one, other = position[part.start :], position[part.other_start :]
        found = sorted([*found, *((bits, int(one[i]), int(other[j])) for bits, i, j in result.pairs)])[:most]
    for here in places:
        sample = here[:: -(-len(here) // MOST_SAMPLED) or 1]
        people = pair[sample]
        num_different += len(sample) ** 2 - int((np.unique(people, return_counts=True)[1] ** 2).sum())
        for _, i, j in _near(hashed[sample], hashed[sample], limit):
            num_false += int((people[i] != people[j]).sum())
    return NearDuplicates(limit, found, num_near, sum(part.pairs for part in parts), num_false // 2, num_different // 2)
