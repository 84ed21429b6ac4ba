"""Neck and clothes, lit like the head and painted once per clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Map, blur, noise, ridge, smoothstep
from .identity import Identity
from .palette import CLOTH, linear
from .scene import Scene

MARGIN_X, MARGIN_Y = 80, 40  # pixels around the image, for movement
WHITE_SHIRT, BLUE_SHIRT = (206, 208, 214), (150, 170, 200)
NECK_TINT = np.array([0.97, 0.93, 0.92], np.float32)


@dataclass(slots=True)
class _Tailor:
    """What the clothes are cut after: positions in head units around the head's centre, and the wearer."""

    identity: Identity
    scene: Scene
    rng: np.random.Generator
    x: Map
    y: Map
    abs_x: Map
    neck: float  # half its width
    stripe: float  # pixels per unit, for patterns


@dataclass(slots=True)
class _Garment:
    color: Map  # (h, w, 3)
    texture: Map
    alpha: Map


def paint_body(
    identity: Identity, base: np.ndarray, scene: Scene, width: int, height: int, scale: float
) -> Map:
    """Return neck and garment as (height + 80, width + 160, 4): linear RGB, not multiplied by the coverage in the last
    channel.

    *base* is the skin's linear colour, *scale* the number of pixels per head unit.
    """
    rng = np.random.default_rng(identity.seed + 11)
    left, top = MARGIN_X + scene.center_x * width, MARGIN_Y + scene.center_y * height
    x, y = np.meshgrid(
        (np.arange(width + 2 * MARGIN_X, dtype=np.float32) - left) / scale,
        (np.arange(height + 2 * MARGIN_Y, dtype=np.float32) - top) / scale,
    )
    neck_width = (0.70 if identity.male else 0.58) * identity.width
    tailor = _Tailor(identity, scene, rng, x, y, np.abs(x), neck_width, scale)
    neck, neck_alpha = _neck(tailor, base)
    garment, garment_alpha = _clothes(tailor)
    color = neck * (1 - garment_alpha[..., None]) + garment * garment_alpha[..., None]
    alpha = np.maximum(neck_alpha, garment_alpha)
    return np.dstack([blur(color.astype(np.float32), 0.6), blur(alpha.astype(np.float32), 0.7)])


def _neck(t: _Tailor, base: np.ndarray) -> tuple[Map, Map]:
    """Return a lit cylinder that widens into the shoulders, in the chin's shadow."""
    scene, x, y = t.scene, t.x, t.y
    half = t.neck * (1 + 0.10 * smoothstep(1.5, 1.0, y) + 0.9 * smoothstep(1.95, 2.45, y) ** 2)
    nx = np.clip(x / half, -0.98, 0.98)
    nz = np.sqrt(1 - nx**2)
    key = np.clip((_lambert(nx, 0.12, nz, scene.key) + 0.25) / 1.25, 0, 1)[..., None] ** 1.2
    fill = np.clip(_lambert(nx, 0.12, nz, scene.fill) * 0.5 + 0.5, 0, 1)[..., None]
    below_chin = ridge(y - 1.30 * t.identity.face_length - 0.12, 0.32) * (t.abs_x < 1.2)
    open_sky = (1 - 0.62 * below_chin)[..., None]
    muscles = 1 - 0.10 * ridge(t.abs_x - 0.32 + 0.18 * (y - 1.7), 0.05) * smoothstep(1.6, 1.9, y)
    mottle = 1 + 0.03 * noise(t.rng, x.shape, 30, 3) + 0.02 * noise(t.rng, x.shape, 5, 2)
    light = key * scene.key_color * open_sky + fill * scene.fill_color * 0.8
    light = light + scene.ambient * 0.8 * (0.5 + 0.5 * open_sky)
    return base * NECK_TINT * (mottle * muscles)[..., None] * light, smoothstep(-0.02, 0.02, half - t.abs_x) * (y > 0.6)


def _lambert(nx: Map, ny: Map | float, nz: Map, light: np.ndarray) -> Map:
    x, y, z = (float(v) for v in light)
    return nx * x + ny * y + nz * z


def _clothes(t: _Tailor) -> tuple[Map, Map]:
    shoulder = 1.93 + 0.08 * (not t.identity.male) + 0.42 * smoothstep(0.25, 2.3, t.abs_x)
    shoulder = shoulder + 0.5 * smoothstep(1.8, 2.6, t.abs_x)
    folds, weave = noise(t.rng, t.x.shape, 46, 3), noise(t.rng, t.x.shape, 1.6)
    light = _cloth_light(t, folds)
    plain = _Garment(
        color=np.broadcast_to(linear(CLOTH[t.identity.cloth]), (*t.x.shape, 3)).copy(),
        texture=1 + 0.07 * weave,
        alpha=smoothstep(-0.02, 0.02, t.y - shoulder),
    )
    cut = {"tee": _tee, "knit": _knit, "suit": _suit, "shirt": _shirt}[t.identity.outfit]
    garment = cut(t, plain, weave)
    below_edge = 1 - 0.36 * ridge(t.y - shoulder, 0.16) * (t.abs_x < 1.0)
    shade = garment.texture * (1 + 0.10 * folds) * below_edge
    return garment.color * light * shade[..., None] * 0.9, garment.alpha


def _cloth_light(t: _Tailor, folds: Map) -> Map:
    nx = np.clip(0.25 * t.x + 0.10 * folds, -0.9, 0.9)
    ny = -0.35 + 0.08 * noise(t.rng, t.x.shape, 60, 2)
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0.05, 1))
    key = np.clip((_lambert(nx, ny, nz, t.scene.key) + 0.1) / 1.1, 0, 1)[..., None]
    fill = np.clip(_lambert(nx, ny, nz, t.scene.fill) * 0.5 + 0.5, 0, 1)[..., None]
    return key * t.scene.key_color + fill * t.scene.fill_color + t.scene.ambient


def _tee(t: _Tailor, garment: _Garment, weave: Map) -> _Garment:  # noqa: ARG001 - the cuts share one signature
    """Return a round neckline with a seam."""
    neckline = 1.93 + 0.32 * np.clip(1 - (t.x / 0.72) ** 2, 0, 1)
    cut = np.maximum(smoothstep(-0.015, 0.015, t.y - neckline), smoothstep(0.70, 0.74, t.abs_x))
    seam = ridge(t.y - neckline - 0.04, 0.035) * (t.abs_x < 0.8)
    return _Garment(garment.color * (1 - 0.25 * seam)[..., None], garment.texture, np.minimum(garment.alpha, cut))


def _knit(t: _Tailor, garment: _Garment, weave: Map) -> _Garment:
    garment = _tee(t, garment, weave)
    garment.texture = garment.texture * (1 + 0.16 * np.sin(t.x * t.stripe / 2.2) * (1 + 0.3 * weave))
    return garment


def _suit(t: _Tailor, garment: _Garment, weave: Map) -> _Garment:  # noqa: ARG001
    """Return a jacket with lapels over a shirt with collar and tie."""
    color, alpha = garment.color, garment.alpha
    lapel = 0.50 - 0.55 * (t.y - 2.0)
    reach = t.neck + 0.06
    collar = t.y - (1.80 + 0.46 * np.clip(1 - t.abs_x / reach, 0, 1))
    wing = smoothstep(-0.012, 0.012, collar)
    wing = wing * smoothstep(-0.015, 0.015, reach - 0.02 - t.abs_x - 0.35 * np.clip(t.y - 2.02, -0.3, 1))
    shirt = np.maximum(wing, smoothstep(-0.015, 0.015, lapel - t.abs_x) * smoothstep(-0.012, 0.012, collar))[..., None]
    alpha = np.where(t.abs_x < reach, np.maximum(alpha * smoothstep(-0.01, 0.01, collar), wing), alpha)
    tie_color = linear(CLOTH[t.identity.second_cloth])
    cloth = linear(WHITE_SHIRT if tie_color.mean() < 0.4 else BLUE_SHIRT) * 0.9
    color = color * (1 - shirt) + cloth * shirt
    crease = ridge(collar - 0.13 - 0.05 * (1 - t.abs_x / reach), 0.014) * (t.abs_x < reach - 0.05) * (t.y < 2.42)
    color = color * (1 - 0.35 * crease)[..., None]
    tie = smoothstep(-0.012, 0.012, 0.075 + 0.06 * (t.y - 2.3) - t.abs_x) * smoothstep(-0.01, 0.01, collar + 0.03)
    stripes = 1 + 0.2 * np.sin((t.x + t.y) * t.stripe / 3.5)
    color = color * (1 - tie[..., None]) + tie_color * (stripes * tie)[..., None]
    color = color * (1 - 0.45 * ridge(t.abs_x - lapel - 0.01, 0.02))[..., None]
    return _Garment(color, garment.texture, alpha)


def _shirt(t: _Tailor, garment: _Garment, weave: Map) -> _Garment:  # noqa: ARG001
    """Return an open collar, in half of the scenes with stripes."""
    reach = t.neck + 0.08
    collar = t.y - (1.84 + 0.52 * np.clip(1 - t.abs_x / reach, 0, 1))
    cut = smoothstep(-0.012, 0.012, collar)
    worn = np.maximum(garment.alpha * cut, cut * (t.y < 2.3))
    edge = ridge(collar - 0.15, 0.016) * (t.abs_x < reach)
    color = garment.color * (1 - 0.4 * edge)[..., None]
    if t.rng.random() < 0.5:
        color = color * (1 - 0.22 * (np.sin(t.x * t.stripe / 3.0) > 0.6))[..., None]
    return _Garment(color, garment.texture, np.where(t.abs_x < reach, worn, garment.alpha))
