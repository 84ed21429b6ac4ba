"""The composition of batches, a function of (seed, step), so that the data state of a run is one integer.

Both orders give half real and half fake crops, reals first: ``ids[:half]`` and ``ids[half:]``. With several processes
each takes every n-th crop (`share`), and their batches together are the same for any number of processes. Each
of the parts of a batch (``train.parts``) does so too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.index import Face
from ..errors import ConfigError, DataError
from .draws import key

__all__ = ["BalancedOrder", "Order", "PairedOrder", "share", "target"]

Ids = NDArray[np.int64]


def share(ids: Ids, rank: int, world_size: int) -> Ids:
    """Return the part of the batch *ids* that process *rank* of *world_size* works on, half real and half fake."""
    return ids[rank::world_size]


def target(face: Face) -> str:
    """Return the target of a face's video: ``c23/000`` for ``original/000`` and for ``Deepfakes/000_001``."""
    return f"{face.compression}/{face.video.rpartition('/')[2].split('_')[0]}"


class Order(ABC):
    """Base class of the two orders: epochs of whole batches, created on first use."""

    def __init__(self, faces: Sequence[Face], batch_size: int, seed: int, parts: int = 1):
        """Ids are indices into *faces*. Raises ConfigError for a batch size that does not give each of the *parts* of a
        batch equal halves, DataError if a class is missing."""
        if batch_size % (2 * parts):
            raise ConfigError(
                f"train.batch_size must be a multiple of {2 * parts} (half real, half fake, train.parts "
                f"{parts}), got {batch_size}"
            )
        self.faces, self.half, self.seed = faces, batch_size // 2, seed
        self.real = np.flatnonzero([face.label == 0 for face in faces])
        self.fake = np.flatnonzero([face.label == 1 for face in faces])
        if not len(self.real) or not len(self.fake):
            raise DataError(
                f"training needs real and fake faces, but the training split has {len(self.real)} real and "
                f"{len(self.fake)} fake; see the splits of the videos and the failures listed by the faces stage"
            )
        self._epoch: tuple[int, Ids] | None = None

    @property
    @abstractmethod
    def pass_size(self) -> int:
        """Number of crops of one class that make an epoch."""

    @abstractmethod
    def make_epoch(self, rng: np.random.Generator, count: int) -> tuple[Ids, Ids]:
        """Return *count* real and *count* fake ids of one epoch, drawn from *rng*."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of whole batches in an epoch, at least 1; the crops left out differ between epochs."""
        return max(1, self.pass_size // self.half)

    def epoch(self, step: int) -> int:
        """Return the epoch, from 0, that *step*, from 0, belongs to."""
        return step // self.steps_per_epoch

    def batch(self, step: int) -> Ids:
        """Return the ids of the batch of *step* (from 0), ``(batch_size,)``: first the reals, then the fakes."""
        epoch, i = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.Generator(np.random.Philox(key=key(self.seed, epoch)))
            real, fake = self.make_epoch(rng, self.steps_per_epoch * self.half)
            shape = (self.steps_per_epoch, self.half)
            self._epoch = epoch, np.concatenate([real.reshape(shape), fake.reshape(shape)], axis=1)
        ids: Ids = self._epoch[1][i]
        return ids


class BalancedOrder(Order):
    """Every crop of the larger class once per epoch; those of the smaller class are repeated."""

    @property
    def pass_size(self) -> int:
        return max(len(self.real), len(self.fake))

    def make_epoch(self, rng: np.random.Generator, count: int) -> tuple[Ids, Ids]:
        return permutations(rng, self.real, count), permutations(rng, self.fake, count)


class PairedOrder(Order):
    """Every real crop once per epoch, each paired with a fake of the *same target*; methods rotate.

    The two crops of a pair differ in the manipulation, not in person, light or background. A batch has equal shares of
    the methods if the batch size allows. If the target has no fake of the current method, a fake of another method is
    used; if it has no fakes, a fake of any target.
    """

    def __init__(self, faces: Sequence[Face], batch_size: int, seed: int, parts: int = 1):
        super().__init__(faces, batch_size, seed, parts)
        self.methods = sorted({faces[i].method for i in self.fake.tolist()})
        self.targets = [target(face) for face in faces]
        pools: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i in self.fake.tolist():
            pools[self.targets[i], faces[i].method].append(i)
        self.pools = {name: np.array(ids) for name, ids in sorted(pools.items())}
        targets = {name for name, _ in self.pools}
        # number of real crops without a fake of their target
        self.unpaired = sum(self.targets[i] not in targets for i in self.real.tolist())

    @property
    def pass_size(self) -> int:
        return len(self.real)

    def make_epoch(self, rng: np.random.Generator, count: int) -> tuple[Ids, Ids]:
        real = permutations(rng, self.real, count)
        # each target's fakes of a method are used in random order, without repeats until all have been used
        queues = {name: rng.permutation(pool) for name, pool in self.pools.items()}
        queues["", ""] = rng.permutation(self.fake)
        used: dict[tuple[str, str], int] = defaultdict(int)
        turn = int(rng.integers(len(self.methods)))
        fake = np.empty_like(real)
        for j, i in enumerate(real.tolist()):
            name = self._pool(self.targets[i], j + turn)
            queue = queues[name]
            fake[j] = queue[used[name] % len(queue)]
            used[name] += 1
        return real, fake

    def _pool(self, name: str, turn: int) -> tuple[str, str]:
        """Return the pool of the first method, starting with method *turn*, of which the target *name* has fakes."""
        for offset in range(len(self.methods)):
            pool = name, self.methods[(turn + offset) % len(self.methods)]
            if pool in self.pools:
                return pool
        return "", ""


def permutations(rng: np.random.Generator, ids: Ids, count: int) -> Ids:
    """Return *count* of *ids*: consecutive permutations, the last one truncated."""
    return np.concatenate([rng.permutation(ids) for _ in range(-(-count // len(ids)))])[:count]
