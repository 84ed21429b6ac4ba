"""Camera simulation: optics, Bayer sensor, demosaicing, tone curve, sharpening."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import Map, blur
from .render import SUPERSAMPLING
from .scene import Scene

READ_NOISE, SHOT_NOISE = 0.0045, 0.010
FULL_WELL = 32768  # 16-bit count of linear 1


def photograph(image: Map, scene: Scene, exposure: float, rng: np.random.Generator) -> np.ndarray:
    """Return the 8-bit BGR frame (h, w, 3) that a camera makes of a linear RGB *image* (2h, 2w, 3)."""
    light = blur(_vignette(image * exposure, scene.vignette), scene.lens_blur * SUPERSAMPLING * 0.62)
    counts = _expose(light * scene.white_balance, scene.sensor_noise, rng)
    # OpenCV names the pattern after the start of the second row: its BayerBG has red at the top left
    bgr = cv2.cvtColor(counts, cv2.COLOR_BayerBG2BGR).astype(np.float32) / FULL_WELL
    bgr = bgr / scene.white_balance[::-1]
    height, width = bgr.shape[:2]
    size = width // SUPERSAMPLING, height // SUPERSAMPLING
    picture = _develop(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), scene)
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def _vignette(image: Map, strength: float) -> Map:
    height, width = image.shape[:2]
    y, x = np.meshgrid(
        np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32), indexing="ij"
    )
    return image * (1 - strength * (x**2 + y**2) * 0.5)[..., None]


def _expose(light: Map, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of an RGGB sensor, uint16 (h, w), with shot and read noise."""
    mosaic = np.empty(light.shape[:2], np.float32)
    mosaic[0::2, 0::2] = light[0::2, 0::2, 0]
    mosaic[0::2, 1::2] = light[0::2, 1::2, 1]
    mosaic[1::2, 0::2] = light[1::2, 0::2, 1]
    mosaic[1::2, 1::2] = light[1::2, 1::2, 2]
    variance = 12 * (SHOT_NOISE * noise) ** 2 * np.clip(mosaic, 0, 2) + (READ_NOISE * noise) ** 2
    mosaic += rng.standard_normal(mosaic.shape).astype(np.float32) * np.sqrt(variance)
    return np.clip(mosaic * FULL_WELL, 0, 65535).astype(np.uint16)


def _develop(bgr: Map, scene: Scene) -> Map:
    """Apply a soft shoulder, gamma, saturation, a mild S curve and an unsharp mask."""
    v = np.clip(bgr, 0, 4)
    v = v / (1 + 0.12 * np.maximum(v - 0.6, 0) ** 1.5)
    v = np.clip(v, 0, 1) ** (scene.gamma / 2.2)
    gray = v.mean(-1, keepdims=True)
    v = gray + (v - gray) * scene.saturation
    v = v + 0.10 * (v - 0.5) * (1 - np.abs(2 * v - 1))
    return v + scene.sharpening * (v - blur(v, 1.1))
