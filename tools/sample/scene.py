"""The scene of a clip: lights, background, framing and camera. Drawn once per clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import clipped_normal

ROOMS = ("wall", "office", "bokeh", "studio", "shelf")


@dataclass(frozen=True, slots=True)
class Scene:
    """Lights in camera space (unit vectors toward them, linear RGB powers), framing in pixels and ratios, camera."""

    key: np.ndarray
    key_color: np.ndarray
    fill: np.ndarray
    fill_color: np.ndarray
    ambient: np.ndarray
    softness: float  # of the key light, 0..1
    exposure: float
    room: str
    room_seed: int
    scale: float  # half the face width, pixels of the finished frame
    center_x: float  # of the head, parts of the frame's width
    center_y: float  # parts of the height
    lens_blur: float
    sensor_noise: float
    sharpening: float
    vignette: float
    white_balance: np.ndarray
    gamma: float
    yaw: float  # mean pose, radians
    pitch: float
    roll: float
    saturation: float


def draw_scene(rng: np.random.Generator, height: int) -> Scene:
    """Draw a scene for frames of *height* pixels."""

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    azimuth, elevation, warmth = uniform(-1.1, 1.1), uniform(0.15, 0.75), uniform(-0.10, 0.12)
    key = (np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    return Scene(
        key=_unit(key),
        key_color=_color(1 + warmth, 1, 1 - warmth) * uniform(0.75, 1.05),
        fill=_unit((-np.sin(azimuth) * 0.8, -0.1, 0.6)),
        fill_color=_color(1 - warmth * 0.6, 1, 1 + warmth * 0.6) * uniform(0.12, 0.38),
        ambient=_color(1, 1, 1) * uniform(0.20, 0.36),
        softness=uniform(0.25, 0.9),
        exposure=uniform(0.86, 1.12),
        room=str(rng.choice(ROOMS)),
        room_seed=int(rng.integers(1 << 31)),
        scale=uniform(0.225, 0.255) * height,
        center_x=0.5 + uniform(-0.06, 0.06),
        center_y=0.425 + uniform(-0.03, 0.03),
        lens_blur=uniform(0.45, 0.85),
        sensor_noise=uniform(0.35, 1.0),
        sharpening=uniform(0.1, 0.7),
        vignette=uniform(0, 0.22),
        white_balance=_color(1 + clipped_normal(rng, 0.03), 1, 1 + clipped_normal(rng, 0.03)),
        gamma=uniform(0.94, 1.06),
        yaw=clipped_normal(rng, 0.10),
        pitch=clipped_normal(rng, 0.04),
        roll=clipped_normal(rng, 0.035),
        saturation=uniform(0.85, 1.12),
    )


def _color(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([red, green, blue], np.float32)


def _unit(vector: tuple[float, float, float]) -> np.ndarray:
    x, y, z = (float(v) for v in vector)
    length = np.sqrt(x * x + y * y + z * z)
    return np.array([x / length, y / length, z / length], np.float32)
