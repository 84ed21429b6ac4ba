"""Leaks between splits: people, pairs, identical files and near-duplicates that training and test share.

**Near-duplicates** are crops whose perceptual hashes are close. The hash: the crop as 32 x 32 gray values (means over
areas), its two-dimensional DCT-II, the signs of the 16 x 16 coefficients of lowest frequency but the first, 255 bits.
The distance of two crops is the number of bits that differ, the smaller of the two when one of them is also mirrored
left to right. A near-uniform crop has no hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DEFINITION", "NearDuplicates", "Shared", "hashes", "near_duplicates", "shared"]

SIDE, LOW = 32, 16                     # gray values of a thumbnail; coefficients kept, each way
BITS = LOW * LOW - 1
FLAT = 2.0                             # standard deviation of gray values below which a crop has no hash
BLOCK = 512                            # hashes compared at a time with all others
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
    return np.packbits(bits.reshape(len(bits), -1), axis=1).view(np.uint64)


# mirroring an image left to right changes the sign of the coefficients of odd horizontal frequency
MIRROR = _packed(np.broadcast_to(np.arange(LOW) % 2 == 1, (1, LOW, LOW)))


def distances(one: Words, others: Words) -> NDArray[np.uint8]:
    """Return the distances (n, m) of each of *one* (n, 4) to each of *others* (m, 4)."""

    def differing(hashed: Words) -> NDArray[np.uint8]:
        total = np.zeros((len(one), len(hashed)), np.uint8)              # at most 255 bits
        for word in range(hashed.shape[1]):
            total += np.bitwise_count(one[:, None, word] ^ hashed[None, :, word])
        return total

    return np.minimum(differing(others), differing(others ^ MIRROR))


def near_duplicates(
    hashed: Words,
    valid: NDArray[np.bool_],
    split: NDArray[np.str_],
    pair: NDArray[np.str_],
    limit: int,
    most: int = 20,
) -> NearDuplicates:
    """Return the crop pairs across splits whose hashes differ in at most *limit* bits.

    *pair* names the people of each crop: crops of different pairs in one split show different people, as far as is
    known, and give the rate of false alarms. *most* is the number of crop pairs listed.
    """
    found: list[tuple[int, int, int]] = []
    num_near = num_compared = num_false = num_different = 0
    places = [np.flatnonzero((split == name) & valid) for name in dict.fromkeys(split.tolist())]
    for number, here in enumerate(places):
        for there in places[number + 1 :]:
            num_compared += len(here) * len(there)
            for rows, distance in _blocks(hashed, here, there):
                near = np.argwhere(distance <= limit)
                num_near += len(near)
                found += [(int(distance[i, j]), int(rows[i]), int(there[j])) for i, j in near]
                found = sorted(found)[:most]
        sample = here[:: -(-len(here) // MOST_SAMPLED) or 1]
        for rows, distance in _blocks(hashed, sample, sample):
            different = pair[rows][:, None] != pair[sample][None, :]
            num_different += int(different.sum())
            num_false += int((different & (distance <= limit)).sum())
    return NearDuplicates(limit, found, num_near, num_compared, num_false // 2, num_different // 2)


def _blocks(
    hashed: Words, here: NDArray[np.intp], there: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Yield blocks of the positions *here* with their distances to all of *there*."""
    for start in range(0, len(here), BLOCK):
        rows = here[start : start + BLOCK]
        yield rows, distances(hashed[rows], hashed[there])
