"""Shortcuts: can features unrelated to forgery separate real clips from forged ones? Every clip gives a few groups of
numbers. The use of a group to a classifier is measured by the AUC of a logistic regression on it, cross-validated by
pair of identities, with the two classes weighted equally.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
RING = 24  # columns at the left and the right edge: background, never touched by a forgery


@dataclass(frozen=True)
class Clip:
    """A clip of the sample: its file, its method (``original`` or one of METHODS), its target's number."""

    path: Path
    method: str
    target: int

    @property
    def pair(self) -> int:
        return self.target // 2


def clips(root: Path, compression: str) -> list[Clip]:
    """All clips of the sample *root* at *compression*, originals first."""
    folders = {"original": root / "original_sequences/youtube"}
    folders |= {method: root / "manipulated_sequences" / method for method in METHODS}
    return [
        Clip(path, method, int(path.stem[:3]))
        for method, folder in folders.items()
        for path in sorted((folder / compression / "videos").glob("*.mp4"))
    ]


def container(path: Path) -> tuple[object, ...]:
    """What a player reads before the first frame: codec, profile, pixel format, size, rate, frames, metadata."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        codec = stream.codec_context
        return (
            file.format.name,
            codec.name,
            codec.profile,
            codec.pix_fmt,
            (stream.width, stream.height),
            stream.average_rate,
            stream.time_base,
            stream.frames,
            len(file.streams),
            tuple(sorted(file.metadata.items())),
            tuple(sorted(stream.metadata.items())),
        )


def bitstream(path: Path) -> dict[str, list[float]]:
    """Features of the file alone, nothing decoded."""
    with av.open(str(path)) as file:
        packets = [(p.size, bool(p.is_keyframe)) for p in file.demux(video=0) if p.size]
    rest = [size for size, _ in packets[1:]]
    return {
        "file size": [path.stat().st_size],
        "first packet, packets, keyframes": [packets[0][0], len(packets), sum(key for _, key in packets)],
        "P packets": [float(np.mean(rest)), float(np.std(rest))],
    }


def pixels(path: Path) -> dict[str, list[float]]:
    """Features of the decoded frames that lie away from the face or average over the whole frame."""
    with av.open(str(path)) as file:
        file.streams.video[0].thread_count = 1
        decoded = list(file.decode(video=0))
    frames = np.stack([frame.to_ndarray(format="bgr24") for frame in decoded[::4]])
    next_frames = np.stack([frame.to_ndarray(format="bgr24") for frame in decoded[1::4]])
    ring, next_ring = (np.concatenate([f[:, :, :RING], f[:, :, -RING:]], 2) for f in (frames, next_frames))
    return {
        "brightness": [float(frames.mean())],
        "frame colour": _moments(frames),
        "ring colour": _moments(ring),
        "ring texture": [_texture(ring)],
        "ring motion": [float(cv2.absdiff(ring, next_ring).mean())],
    }


def _moments(frames: np.ndarray) -> list[float]:
    mean, deviation = cv2.meanStdDev(frames.reshape(1, -1, 3))
    return [*mean.ravel().tolist(), *deviation.ravel().tolist()]


def _texture(frames: np.ndarray) -> float:
    """Logarithm of the mean variance of the Laplacian."""
    gray = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2GRAY) for frame in frames]
    return float(np.log(np.mean([cv2.Laplacian(image, cv2.CV_32F).var() for image in gray]) + 1e-3))


def separability(features: np.ndarray, fake: np.ndarray, pairs: np.ndarray) -> float:
    """The cross-validated AUC of *features* (n, k) for *fake* (n,), never trained on a pair it is tested on."""
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500))
    folds = GroupKFold(10)
    with threadpool_limits(1, user_api="blas"):  # threads of so small products mostly wait for each other in loops
        scores = cross_val_predict(model, features, fake, cv=folds, groups=pairs, method="predict_proba")[:, 1]
    return float(roc_auc_score(fake, scores))


def table(found: Iterable[tuple[Clip, dict[str, list[float]]]]) -> dict[str, dict[str, float]]:
    """The separability of every feature, over all methods (``all``) and for each one against the originals."""
    clips, rows = zip(*found, strict=True)
    method = np.array([clip.method for clip in clips])
    pairs = np.array([clip.pair for clip in clips])
    result: dict[str, dict[str, float]] = {}
    for feature in rows[0]:
        values = np.array([row[feature] for row in rows], np.float64)
        result[feature] = {"all": separability(values, method != "original", pairs)}
        for name in METHODS:
            part = (method == "original") | (method == name)
            result[feature][name] = separability(values[part], method[part] == name, pairs[part])
    return result


def shortcuts(found: dict[str, dict[str, float]], over_all: float, per_method: float) -> list[str]:
    """The entries of *found* that reach the limit *over_all* or *per_method*, as lines of text."""
    return [
        f"{feature}, {method}: AUC {auc:.3f}"
        for feature, row in found.items()
        for method, auc in row.items()
        if not auc < (over_all if method == "all" else per_method)
    ]
