"""The background behind a head: walls, offices, lights out of focus, studios, shelves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Map, blur, noise
from .palette import ROOM, linear

MARGIN = 32  # pixels around the image, for the camera's small movements


@dataclass(frozen=True, slots=True)
class _Wall:
    """An image of (height, width) pixels to paint on, x and y in parts of it, and what to draw with."""

    rng: np.random.Generator
    x: Map
    y: Map

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape

    def color(self) -> np.ndarray:
        return linear(ROOM[self.rng.integers(len(ROOM))])

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def rectangle(self, image: Map, x: float, y: float, width: float, height: float, color: np.ndarray) -> None:
        rows, columns = self.shape
        start = int(x * columns), int(y * rows)
        end = int((x + width) * columns), int((y + height) * rows)
        cv2.rectangle(image, start, end, [float(v) for v in color], -1)


def paint_room(room: str, seed: int, width: int, height: int) -> Map:
    """Return the background as linear RGB, MARGIN pixels larger than *width* x *height* on every side."""
    y, x = np.meshgrid(
        np.linspace(0, 1, height + 2 * MARGIN, dtype=np.float32),
        np.linspace(0, 1, width + 2 * MARGIN, dtype=np.float32),
        indexing="ij",
    )
    wall = _Wall(np.random.default_rng(seed), x, y)
    image = _PAINTERS[room](wall, _gradient(wall))
    return np.clip(image, 0.004, 1.2) * np.float32(0.85)


def _gradient(wall: _Wall) -> Map:
    first, second = wall.color(), wall.color()
    angle = wall.uniform(0, 6.28)
    way = float(np.cos(angle)) * (wall.x - 0.5) + float(np.sin(angle)) * (wall.y - 0.5) + 0.5
    return np.ascontiguousarray(first * (1 - way[..., None] * 0.7) + second * way[..., None] * 0.5)


def _office(wall: _Wall, image: Map) -> Map:
    for _ in range(26):
        color = wall.color() * wall.uniform(0.3, 1.4)
        x, y = wall.uniform(-0.1, 1), wall.uniform(-0.1, 1)
        wall.rectangle(image, x, y, wall.uniform(0.05, 0.35), wall.uniform(0.05, 0.5), color)
    return blur(image, wall.uniform(5, 11))


def _shelf(wall: _Wall, image: Map) -> Map:
    """Return book spines on five shelves."""
    for _ in range(60):
        color = wall.color() * wall.uniform(0.3, 1.4)
        x, y = wall.uniform(-0.1, 1), wall.uniform(-0.1, 1)
        width, height = wall.uniform(0.02, 0.05), wall.uniform(0.10, 0.16)
        board = float(np.floor(y * 5)) / 5 + 0.2
        wall.rectangle(image, x, board - height, width, height, color)
    return blur(image, wall.uniform(3, 6))


def _bokeh(wall: _Wall, image: Map) -> Map:
    image = image * np.clip(1 + 0.16 * noise(wall.rng, wall.shape, 90, 3), 0.2, None)[..., None]
    rows, columns = wall.shape
    for _ in range(14):
        center = int(wall.uniform(0, columns)), int(wall.uniform(0, rows))
        radius = int(wall.uniform(8, 30))
        color = wall.color() * wall.uniform(1.0, 2.2)
        cv2.circle(image, center, radius, [float(v) for v in color], -1, cv2.LINE_AA)
    return blur(image, wall.uniform(7, 12))


def _studio(wall: _Wall, image: Map) -> Map:
    for _ in range(5):
        x, y, radius = wall.uniform(0, 1), wall.uniform(0, 1), wall.uniform(0.15, 0.5)
        glow = np.exp(-0.5 * (((wall.x - x) / radius) ** 2 + ((wall.y - y) / radius) ** 2))
        image = image + wall.color() * 0.5 * glow[..., None]
    for _ in range(4):
        across = wall.x - wall.uniform(0, 1) - 0.2 * (wall.y - 0.5)
        image = image * (1 + 0.25 * np.exp(-0.5 * (across / 0.02) ** 2))[..., None]
    return blur(image, 3)


def _wall(wall: _Wall, image: Map) -> Map:
    """Return a lit wall, in half of the scenes with a framed image."""
    image = image * (1 + 0.03 * noise(wall.rng, wall.shape, 120, 4)[..., None])
    light = wall.uniform(-0.4, 0.4)
    image = image * (1.1 - 0.4 * (wall.x - 0.5 - light) ** 2)[..., None]
    if wall.rng.random() < 0.5:
        x = wall.uniform(0.0, 0.2) if wall.rng.random() < 0.5 else wall.uniform(0.72, 0.85)
        y = wall.uniform(0.05, 0.3)
        wall.rectangle(image, x, y, 0.2, 0.3, wall.color() * 0.5)
        wall.rectangle(image, x + 0.015, y + 0.02, 0.17, 0.26, wall.color())
        image = blur(image, 2.5)
    return image


_PAINTERS: dict[str, Callable[[_Wall, Map], Map]] = {
    "wall": _wall,
    "office": _office,
    "bokeh": _bokeh,
    "studio": _studio,
    "shelf": _shelf,
}
