"""Process-group helpers; no-ops in a single process."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

__all__ = ["Processes"]


class Processes:
    """Rank and number of the processes of this run, and their collective operations.

    torchrun's environment (RANK, WORLD_SIZE, LOCAL_RANK) makes it a group: nccl on CUDA devices, else gloo. A context
    manager; the group ends with it.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")

    @property
    def main(self) -> bool:
        """True in the one process that writes files and messages."""
        return self.rank == 0

    def __enter__(self) -> Processes:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world_size > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo", **_rendezvous())
        return self

    def __exit__(self, *_: object) -> None:
        if self.world_size > 1:
            distributed.destroy_process_group()

    def any(self, flag: bool) -> bool:
        """Return whether *flag* is true in any process. All must call it at the same step."""
        if self.world_size == 1:
            return flag
        value = torch.tensor(int(flag), device=self.device)
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return bool(value.item())

    def broadcast(self, value: Any) -> Any:
        """Return the main process' *value* in all of them."""
        if self.world_size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def broadcast_tensors(self, tensors: list[Tensor]) -> None:
        """Overwrite *tensors* with the main process' values."""
        if self.world_size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def rows(self, own: list[Tensor]) -> list[Tensor]:
        """Gather rows (n,); each process passes ``rows[rank::world_size]``, the same number in all of them."""
        if self.world_size == 1:
            return own
        mine = torch.stack(own)
        gathered = [torch.empty_like(mine) for _ in range(self.world_size)]
        distributed.all_gather(gathered, mine)
        return [rows[i] for i in range(len(own)) for rows in gathered]

    def own(self, count: int, block: int = 1) -> NDArray[np.bool_]:
        """Return a mask (count,) of the values that this process has: of blocks of *block* values, every n-th."""
        mask: NDArray[np.bool_] = self._owner(count, block) == self.rank
        return mask

    def interleave(self, part: NDArray[Any], count: int, block: int = 1) -> NDArray[Any]:
        """Gather *count* values; each process passes ``values[own(count, block)]``."""
        if self.world_size == 1:
            return part
        parts: list[NDArray[Any]] = [part] * self.world_size
        distributed.all_gather_object(parts, part)
        values, owner = np.empty((count, *part.shape[1:]), part.dtype), self._owner(count, block)
        for rank, values_of_rank in enumerate(parts):
            values[owner == rank] = values_of_rank
        return values

    def _owner(self, count: int, block: int) -> NDArray[np.int64]:
        return np.arange(count) // block % self.world_size


def _rendezvous() -> dict[str, Any]:
    """Return the arguments of init_process_group for the rendezvous of the processes.

    On one node torchrun's workers use the agent's store, which keeps the addresses of workers from before a restart;
    without a prefix for each attempt a new worker may try to reach a dead one. Elsewhere torch's default is correct.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or os.environ.get("GROUP_WORLD_SIZE") != "1":
        return {}
    store, rank, world_size = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    store = distributed.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    return {"store": store, "rank": rank, "world_size": world_size}
