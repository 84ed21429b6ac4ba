"""Reproducible H.264 files: the same frames give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags

from detector.data.files import whole_file

FPS = 25
# x264 165 gave other bytes for the same frames after encoding something else; cpu-independent=1 ends that and makes
# SSE2, AVX2 and plain C agree. With more than one thread the bytes change too.
X264_PARAMS = "cpu-independent=1"


def write_video(path: Path, frames: Iterable[np.ndarray], crf: int) -> None:
    """Write *frames* (H, W, 3), uint8 BGR, to the mp4 file *path* at the constant rate factor *crf*.

    H.264 High, yuv420p, 25 fps, preset medium, index in front. The file has no date, machine name or version of
    the encoder, and is written atomically.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as container:
        stream = None
        for i, image in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(FPS))
                stream.width, stream.height = image.shape[1], image.shape[0]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                stream.codec_context.flags |= Flags.bitexact
                stream.codec_context.time_base = Fraction(1, FPS)
                stream.options = {"crf": str(crf), "preset": "medium", "x264-params": X264_PARAMS}
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())


def read_video(path: Path) -> np.ndarray:
    """Return all frames of the video *path*, (T, H, W, 3), uint8 BGR."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)])
