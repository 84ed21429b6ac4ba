"""Frames of a video file, through PyAV.

For a damaged or truncated video, the readable frames are returned, with the reason for each missing frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from ..errors import DataError
from ..reading import check_machine, open_file
from . import display


@dataclass(slots=True)
class Frames:
    """Frames of one video: uint8 RGB arrays (H, W, 3) by frame number, the reasons for missing frames, and notes."""

    images: dict[int, np.ndarray] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)


def evenly_spaced(count: int, number: int) -> list[int]:
    """Return *number* frame numbers from the first to the last of *count* frames (all of them if there are fewer).

    They are those of DeepfakeBench's ``fixed_num_frames``: ``np.linspace(0, count - 1, number, dtype=int)``.
    """
    return sorted({int(i) for i in np.linspace(0, count - 1, number, dtype=int)})


def per_second(count: int, rate: float, number: float) -> list[int]:
    """Return the frame numbers nearest to *number* instants of every second, of *count* frames at *rate* a second."""
    step = max(1.0, rate / number)
    return sorted({int(i) for i in np.arange(0, count - 0.5, step).round()})


def length(path: str | Path) -> tuple[int, float]:
    """Return the number of frames according to the header of *path*, and its frames per second.

    Raises `DataError` if it cannot be opened or has no video stream.
    """
    with _open(path) as container:
        stream = _stream(container, path)
        count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        if not count:
            raise DataError("video without frames")
        return count, float(stream.average_rate or stream.guessed_rate or 25)


def read_frames(path: str | Path, numbers: Iterable[int]) -> Frames:
    """Return the frames *numbers* of the video *path* in memory; `Footage` needs less."""
    footage = Footage(path, numbers, keep_bytes=0)
    images = dict(footage)
    return Frames({n: image for n, image in images.items() if n not in footage.missing}, footage.missing, footage.notes)


class Footage:
    """Repeatable iterable over the frames *numbers* (from 0, in presentation order) of the video *path*.

    Yields pairs of number and image, uint8 RGB (H, W, 3). Up to *keep_bytes* are cached for the next iteration; other
    frames are decoded again. After an iteration, `missing` has the reason for every frame that is not in the file, that
    the decoder marks as damaged, or that depends on a damaged frame. The last kind may have been yielded before the
    damage was detected. `notes` has remarks on the frames.

    Images are as they are shown (`display.shown`). Raises `DataError` if the file cannot be opened, has no video stream
    or is HDR video.
    """

    def __init__(self, path: str | Path, numbers: Iterable[int], keep_bytes: int = 512 << 20) -> None:
        self.path = path
        self.wanted = set(numbers)
        self.missing: dict[int, str] = {}
        self.notes: set[str] = set()
        self._keep_bytes = keep_bytes
        self._kept: dict[int, np.ndarray] | None = None

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        if self._kept is not None:
            yield from self._kept.items()
            return
        kept: dict[int, np.ndarray] = {}
        size = 0
        for number, image in self._decoded():
            size += image.nbytes
            if size <= self._keep_bytes:
                kept[number] = image
            else:
                kept.clear()
            yield number, image
        if size <= self._keep_bytes:
            self._kept = {number: image for number, image in kept.items() if number not in self.missing}

    def _decoded(self) -> Iterator[tuple[int, np.ndarray]]:
        count, anchor, damaged, reason = 0, 0, "", ""
        last = max(self.wanted)
        with _open(self.path) as container:
            stream = _stream(container, self.path)
            stream.thread_count = 1  # the other cores decode other clips
            decoded = _decode(container, stream)
            while count <= last or anchor < last:  # a B-frame is intact if the later frame that it refers to is
                frame = next(decoded, "")
                if isinstance(frame, str):
                    reason = frame
                    break
                if frame.is_corrupt:
                    damaged = "frame is damaged"
                    # B-frames are shown before, and decoded after, the frame they refer to
                    before = self.wanted.intersection(range(anchor + 1, count))
                    self.missing.update(dict.fromkeys(before, "frame builds on a damaged one"))
                elif frame.key_frame:
                    damaged = ""
                elif damaged:
                    damaged = "frame builds on a damaged one"
                if frame.pict_type != PictureType.B:
                    anchor = count
                if count in self.wanted and damaged:
                    self.missing[count] = damaged
                elif count in self.wanted:
                    if frame.interlaced_frame:
                        self.notes.add(display.INTERLACED)
                    yield count, display.shown(frame, stream.sample_aspect_ratio)
                count += 1
        for number in sorted(self.wanted):
            if number >= count:
                self.missing[number] = f"video ends after {count} readable frames{reason}"


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | str]:
    """Yield the frames up to the first packet that cannot be decoded, then that packet's error as text."""
    error = ""
    try:
        for packet in container.demux(stream):
            yield from stream.codec_context.decode(packet)
    except av.FFmpegError as problem:
        error = f" ({problem.strerror})"
    if error:
        yield from stream.codec_context.decode(None)  # frames still buffered in the decoder
        yield error


def _open(path: str | Path) -> InputContainer:
    try:
        open_file(path).close()
        return av.open(str(path))
    except (OSError, av.FFmpegError) as error:  # some of av's errors are no OSError
        check_machine(error, path)
        raise DataError(f"video cannot be opened ({error.strerror})") from error


def _stream(container: InputContainer, path: str | Path) -> VideoStream:
    if not container.streams.video:
        raise DataError(f"no video stream in {Path(path).name}")
    return container.streams.video[0]
