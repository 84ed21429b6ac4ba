"""Frames of a video file, through PyAV.

A video that cannot be opened or ends early raises no surprise: what could be read is returned, together with the reason
for each frame that could not.
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


@dataclass(slots=True)
class Frames:
    """Frames of one video: uint8 RGB arrays (H, W, 3) by frame number, and why the missing ones are missing."""

    images: dict[int, np.ndarray] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)


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
    """Return the number of frames the file *path* claims, and its frames per second.

    Raises `DataError` if it cannot be opened or holds no video.
    """
    with _open(path) as container:
        stream = _stream(container, path)
        count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        if not count:
            raise DataError("video without frames")
        return count, float(stream.average_rate or stream.guessed_rate or 25)


def read_frames(path: str | Path, numbers: Iterable[int]) -> Frames:
    """Return the frames *numbers* (from 0, in the order of showing) of the video *path*.

    Frames that the file does not hold, that the decoder marks as damaged, or that build on a damaged one are in
    `missing` with the reason. Raises `DataError` if the file cannot be opened or holds no video.
    """
    wanted = set(numbers)
    frames = Frames()
    count, anchor, damaged, reason = 0, 0, "", ""
    with _open(path) as container:
        stream = _stream(container, path)
        stream.thread_count = 1  # the cores are busy with other clips
        decoded = _decode(container, stream)
        while count <= max(wanted):
            frame = next(decoded, "")
            if isinstance(frame, str):
                reason = frame
                break
            if frame.is_corrupt:
                damaged = "frame is damaged"
                # B-frames are shown before, and decoded after, the frame they build on
                for number in wanted.intersection(range(anchor + 1, count)):
                    frames.images.pop(number, None)
                    frames.missing[number] = "frame builds on a damaged one"
            elif frame.key_frame:
                damaged = ""
            elif damaged:
                damaged = "frame builds on a damaged one"
            if frame.pict_type != PictureType.B:
                anchor = count
            if count in wanted and damaged:
                frames.missing[count] = damaged
            elif count in wanted:
                frames.images[count] = frame.to_ndarray(format="rgb24")
            count += 1
    for number in sorted(wanted):
        if number >= count:
            frames.missing[number] = f"video ends after {count} readable frames{reason}"
    return frames


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | str]:
    """Yield the frames up to the first packet that cannot be decoded, then that packet's error as text."""
    error = ""
    try:
        for packet in container.demux(stream):
            yield from stream.codec_context.decode(packet)
    except av.FFmpegError as problem:
        error = f" ({problem.strerror})"
    if error:
        yield from stream.codec_context.decode(None)  # what the decoder was still holding back
        yield error


def _open(path: str | Path) -> InputContainer:
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise DataError(f"video cannot be opened ({error.strerror})") from error


def _stream(container: InputContainer, path: str | Path) -> VideoStream:
    if not container.streams.video:
        raise DataError(f"no video stream in {Path(path).name}")
    return container.streams.video[0]
