"""Batches of uint8 crops, prepared ahead of the model: a thread reads and decodes them into reused buffers.

It uses threads, not processes: decoding releases the GIL, and copying a batch between processes costs as much as
decoding it. The order of batches does not depend on the number of threads.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mozcodec

from ..data.index import Face
from ..data.shards import ShardReader
from ..errors import DataError

__all__ = ["Batch", "Loader", "crop_size", "decode_into"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one step. `images` is a buffer that later batches reuse: copy it to keep it."""

    step: int
    ids: NDArray[np.int64]  # (N,), positions in the loader's faces
    images: Tensor  # (N, H, W, 3) uint8 RGB
    labels: Tensor  # (N,) float32, 1 = fake


def crop_size(reader: ShardReader, face: Face) -> tuple[int, int]:
    """Return the height and width in a crop's JPEG header. Raises DataError if it has none."""
    try:
        header = mozcodec.read_header(reader.read(face, check=True))
    except mozcodec.JpegError as error:
        raise DataError(f"{reader.folder / face.shard}: {face.key}: {error}") from error
    return header.height, header.width


def decode_into(reader: ShardReader, faces: Sequence[Face], out: NDArray[np.uint8], threads: int = 1) -> None:
    """Decode the JPEG crops *faces* into *out*, (len(faces), H, W, 3) RGB, after checking their CRC-32.

    Raises DataError, naming the archive and the crop, for one that is damaged or of another size.
    """
    data = [reader.read(face, check=True) for face in faces]
    try:
        mozcodec.decode_batch(data, out=out, threads=threads)
    except mozcodec.JpegError:
        # one by one, to name the crop
        for face, crop, image in zip(faces, data, out, strict=True):
            try:
                shape = mozcodec.decode(crop).shape
            except mozcodec.JpegError as error:
                raise DataError(f"{reader.folder / face.shard}: {face.key}: {error}") from error
            if shape != image.shape:
                raise DataError(
                    f"{reader.folder / face.shard}: {face.key} is {shape[0]} x {shape[1]}, other crops "
                    f"{image.shape[0]} x {image.shape[1]}; make the faces again with one faces.size"
                ) from None
        raise


class Loader:
    """Batches of JPEG crops, decoded *ahead* of their use by a thread that shares the work out to *threads*.

    *make* is called with the step, the ids and the images of each batch: it writes those crops that do not come from
    the files, and returns the positions of the others, which are then decoded. *edit* is called with all of them, and
    may change the images in place. With *pin*, the buffers are in page-locked memory, so that copies to a CUDA device
    overlap with computation. `waited` is the time in seconds that the consumer has waited for batches.
    """

    def __init__(
        self,
        reader: ShardReader,
        faces: Sequence[Face],
        *,
        threads: int = 1,
        ahead: int = 3,
        pin: bool = False,
        make: Callable[[int, NDArray[np.int64], NDArray[np.uint8]], NDArray[np.intp]] | None = None,
        edit: Callable[[int, NDArray[np.int64], NDArray[np.uint8]], None] | None = None,
    ):
        self.reader, self.faces, self.threads, self.ahead, self.pin = reader, faces, threads, ahead, pin
        self.make, self.edit = make, edit
        self.labels = np.array([face.label for face in faces], dtype=np.float32)
        self.waited = 0.0

    def batches(self, plan: Iterable[tuple[int, NDArray[np.int64]]]) -> Generator[Batch]:
        """Yield a `Batch` for each (step, ids) of *plan*. Errors are raised at the batch that they concern.

        A batch's buffer is reused once the next batch is requested. Closing the iterator stops the thread.
        """
        work = _Work(self, plan)
        try:
            while True:
                start = time.perf_counter()
                item = work.ready.get()
                self.waited += time.perf_counter() - start
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                batch, buffer = item
                yield batch
                event = torch.cuda.current_stream().record_event() if self.pin else None
                work.free.put((buffer, event))
        finally:
            work.stop()

    def load(self, ids: Sequence[int] | NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield the crops *ids* in order, *batch_size* at a time, the last batch smaller."""
        ids = np.asarray(ids, dtype=np.int64)
        plan = ((i, ids[start : start + batch_size]) for i, start in enumerate(range(0, len(ids), batch_size)))
        with closing(self.batches(plan)) as batches:
            yield from batches


class _Work:
    """The thread of one iteration: takes free buffers, fills them and puts them in the queue."""

    def __init__(self, loader: Loader, plan: Iterable[tuple[int, NDArray[np.int64]]]):
        self.loader, self.plan = loader, plan
        self.free: queue.Queue[tuple[Tensor, torch.cuda.Event | None] | None] = queue.Queue()
        self.ready: queue.Queue[tuple[Batch, Tensor] | BaseException | None] = queue.Queue()
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopped = True
        self.free.put(None)
        self.thread.join()

    def _run(self) -> None:
        try:
            for step, ids in self.plan:
                if (buffer := self._buffer(len(ids))) is None:
                    return
                images = buffer[: len(ids)]
                self._fill(step, ids, images.numpy())
                labels = torch.from_numpy(self.loader.labels[ids])
                self.ready.put((Batch(step, ids, images, labels), buffer))
            self.ready.put(None)
        except BaseException as error:  # the consumer raises it
            self.ready.put(error)

    def _fill(self, step: int, ids: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        loader = self.loader
        rest = loader.make(step, ids, out) if loader.make is not None else np.arange(len(ids))
        faces = [loader.faces[i] for i in ids[rest]]
        if len(rest) == len(ids):
            decode_into(loader.reader, faces, out, loader.threads)
        elif len(rest):
            decoded = np.empty((len(rest), *out.shape[1:]), np.uint8)
            decode_into(loader.reader, faces, decoded, loader.threads)
            out[rest] = decoded
        if loader.edit is not None:
            loader.edit(step, ids, out)

    def _buffer(self, count: int) -> Tensor | None:
        """Return a free buffer for at least *count* crops, or None once the thread is stopped."""
        if not hasattr(self, "size"):
            self.size = crop_size(self.loader.reader, self.loader.faces[0])
            for _ in range(self.loader.ahead + 1):
                self.free.put((self._new_buffer(count), None))
        taken = self.free.get()
        if taken is None or self.stopped:
            return None
        buffer, event = taken
        if event is not None:
            event.synchronize()
        return buffer if len(buffer) >= count else self._new_buffer(count)

    def _new_buffer(self, count: int) -> Tensor:
        return torch.empty((count, *self.size, 3), dtype=torch.uint8, pin_memory=self.loader.pin)
