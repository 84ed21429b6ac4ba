"""Functions shared by the four methods: tracking, blending, colour transfer, expression offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..canvas import blur
from ..geometry import apply_affine, apply_linear, similarity

MASK_THRESHOLD = 0.15  # pixels with a larger blend weight belong to the mask
# hardly moved by any expression: ends of the jaw line, bridge of the nose, outer eye corners
RIGID = [0, 16, 27, 28, 29, 30, 36, 45]


@dataclass(frozen=True, slots=True)
class Footage:
    """A decoded clip and the landmarks of its face."""

    frames: np.ndarray  # (T, H, W, 3), uint8 BGR
    landmarks: np.ndarray  # (T, 68, 2), pixels

    @property
    def shape(self) -> tuple[int, int]:
        return self.frames.shape[1], self.frames.shape[2]

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(slots=True)
class Forgery:
    """The forged clip, filled frame by frame."""

    frames: list[np.ndarray]  # (H, W, 3), uint8 BGR
    masks: list[np.ndarray]  # (H, W), uint8, 0 or 255

    def blend(self, original: np.ndarray, face: np.ndarray, weight: np.ndarray) -> None:
        """Add the frame *original* with *face* blended in by *weight* (H, W), 0..1."""
        alpha = weight[..., None]
        self.frames.append(to_uint8(original * (1 - alpha) + face * alpha))
        self.masks.append(((weight > MASK_THRESHOLD) * 255).astype(np.uint8))


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return *image* rounded and clipped to 8 bits."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def track(landmarks: np.ndarray, rng: np.random.Generator, sd: float = 0.35) -> np.ndarray:
    """Return *landmarks* (T, 68, 2) as a tracker gives them: jitter N(0, *sd* pixels), smoothed over three frames."""
    noisy = landmarks + rng.normal(0, sd, landmarks.shape)
    padded = np.pad(noisy, ((1, 1), (0, 0), (0, 0)), mode="edge")
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def transfer_color(
    face: np.ndarray, target: np.ndarray, weight: np.ndarray, mean: float, std: float
) -> np.ndarray:
    """Return *face* with the means of its channels moved by *mean* toward *target*'s, deviations by the power *std*.

    Statistics over the pixels weighted by *weight*; 0 leaves, 1 matches (Reinhard et al., Color transfer between
    images, 2001).
    """
    w = weight[..., None]
    total = w.sum() + 1e-6
    face_mean, target_mean = (face * w).sum((0, 1)) / total, (target * w).sum((0, 1)) / total
    face_std = np.sqrt((((face - face_mean) ** 2) * w).sum((0, 1)) / total) + 1e-3
    target_std = np.sqrt((((target - target_mean) ** 2) * w).sum((0, 1)) / total) + 1e-3
    return (face - face_mean) * (target_std / face_std) ** std + face_mean + mean * (target_mean - face_mean)


def reenacted(target: np.ndarray, source: np.ndarray, gain: float) -> list[np.ndarray]:
    """Return the target's landmarks in every frame with the source's expression, each (68, 2).

    The target's mean shape, posed as in the frame, plus *gain* times the source's offset from its own mean.
    """
    own_mean = _aligned(target).mean(0)
    source_aligned = _aligned(source)
    offsets = source_aligned - source_aligned.mean(0)
    shapes = []
    for i, points in enumerate(target):
        j = i % len(source)
        neutral = apply_affine(similarity(target[0][RIGID], points[RIGID]), own_mean)
        to_frame = similarity(source[0][RIGID], points[RIGID])
        shapes.append(neutral + gain * apply_linear(to_frame, offsets[j]))
    return shapes


def _aligned(landmarks: np.ndarray) -> np.ndarray:
    """Return all shapes of a clip aligned to the first one by their rigid points."""
    first = landmarks[0]
    return np.stack([apply_affine(similarity(shape[RIGID], first[RIGID]), shape) for shape in landmarks])


def high_pass_rms(image: np.ndarray, weight: np.ndarray) -> float:
    """Return the root mean square of the finest gray detail (above a blur of one pixel) where *weight* says."""
    detail = (image - blur(image, 1.0)).mean(-1)
    return float(np.sqrt((detail**2 * weight).sum() / (weight.sum() + 1e-6)))
