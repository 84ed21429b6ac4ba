"""The colour of a head without its hair: skin, beard, eyebrows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import (
    LEFT,
    SCALE,
    SHAPE,
    SIDES,
    TOP,
    Map,
    X,
    Y,
    blur,
    draw_strokes,
    gaussian,
    gaussians,
    noise,
    smoothstep,
    strands,
)
from .identity import Identity
from .palette import GRAY_HAIR, HAIR, linear, skin_tone
from .relief import ABS_X, Relief, nose_tip_y

# weights of red, green and blue
DARKENING = np.array([0.75, 0.9, 0.85], np.float32)
MELANIN = np.array([0.8, 1, 1.15], np.float32)
SPOTS = np.array([0.6, 0.8, 0.85], np.float32)


@dataclass(slots=True)
class Skin:
    """The surface of a head on the canvas, linear light."""

    base: np.ndarray  # (3,) mean colour
    albedo: Map  # (HEIGHT, WIDTH, 3)
    gloss: Map  # specular strength
    pores: Map  # band-passed noise, for the finest relief
    beard: Map  # coverage


def paint_skin(identity: Identity, relief: Relief, rng: np.random.Generator) -> Skin:
    """Return the surface of *identity*'s head; a beard is added to the height of *relief*."""
    base = skin_tone(identity.tone) * (1 + rng.normal(0, 0.02, 3).astype(np.float32))
    albedo = base * _redness(identity, rng)
    albedo *= 1 - _shade(identity)[..., None] * DARKENING
    melanin = 0.030 * identity.mottle * noise(rng, SHAPE, 14, 3, 0.7) + 0.018 * noise(rng, SHAPE, 60, 2)
    albedo *= 1 + melanin[..., None] * MELANIN
    pores = noise(rng, SHAPE, 2.2)
    pores -= blur(pores, 2.0)
    blotches = noise(rng, SHAPE, 5.0, 2, 0.7)
    albedo *= 1 + identity.pores * (0.026 * pores + 0.016 * blotches)[..., None]
    albedo *= 1 - _spots(identity, rng)[..., None] * SPOTS
    albedo *= 1 - 0.78 * _nostrils(identity)[..., None]
    region = _beard_region(identity, relief)
    albedo = _stubble(identity, albedo, base, region, rng)
    albedo, beard = _beard(identity, albedo, region, relief, rng)
    inner_ear = gaussians(1.045 * identity.width, 0.22, 0.035, 0.12) * relief.ear
    albedo *= 1 - 0.45 * inner_ear[..., None]
    gloss = np.clip(identity.oil * _oil(identity) * (1 + 0.35 * blotches) * (1 - 0.8 * beard), 0, None)
    pores *= 1 - 0.5 * gaussian(0, identity.mouth_y, 0.4, 0.15)
    return Skin(base, np.clip(albedo, 0.003, 0.95), gloss, pores, beard)


def _redness(identity: Identity, rng: np.random.Generator) -> Map:
    """Return factors (HEIGHT, WIDTH, 3): blood near the surface of cheeks, nose, ears and chin, with mottling."""
    tip_y = nose_tip_y(identity)
    red = 0.55 * gaussians(0.60, 0.42, 0.26, 0.24) + 0.35 * gaussians(identity.nose_width, tip_y + 0.03, 0.10, 0.10)
    red += 0.3 * gaussians(1.06, 0.2, 0.12, 0.35) + 0.45 * gaussian(0, tip_y, 0.16, 0.14)
    red += 0.25 * gaussian(0, 1.5, 0.3, 0.16) + 0.10 * gaussian(0, -0.7, 0.5, 0.3)
    red += (0.10 * noise(rng, SHAPE, 26, 3, 0.6) + 0.06 * noise(rng, SHAPE, 9, 2, 0.6)) * identity.mottle
    strength = 0.90 if identity.tone < 4 else 0.75
    return np.stack([1 + 0.02 * red, 1 - 0.17 * strength * red, 1 - 0.15 * strength * red], -1)


def _shade(identity: Identity) -> Map:
    """Return the darker skin under and above the eyes, beside the root of the nose and at the corners of the mouth."""
    dark = (0.16 + 0.12 * identity.age) * gaussians(identity.eye_x - 0.02, 0.12, 0.17, 0.06)
    dark += 0.14 * gaussians(identity.eye_x, -0.10, 0.2, 0.055) + 0.10 * gaussians(0.22, -0.02, 0.05, 0.08)
    dark += 0.10 * gaussians(0.50, 1.02, 0.05, 0.06)
    return dark + 0.05 * (identity.tone / 8) * gaussian(0, -0.75, 0.7, 0.2)


def _spots(identity: Identity, rng: np.random.Generator) -> Map:
    """Return freckles, blemishes and moles as darkness 0..1."""
    spots = np.zeros(SHAPE, np.float32)
    for _ in range(int(160 * identity.freckles)):
        _spot(spots, rng.normal(0, 0.42), rng.normal(0.32, 0.2), (0.008, 0.017), (0.05, 0.22), rng)
    for _ in range(int(rng.integers(6, 26))):
        _spot(spots, rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 1.5), (0.008, 0.022), (0.03, 0.14), rng)
    for _ in range(identity.moles):
        _spot(spots, rng.uniform(-0.75, 0.75), rng.uniform(-0.6, 1.4), (0.014, 0.024), (0.35, 0.7), rng)
    return spots


def _spot(
    spots: Map,
    x: float,
    y: float,
    radii: tuple[float, float],
    strengths: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    radius, strength = float(rng.uniform(*radii)), float(rng.uniform(*strengths))
    stretch = float(rng.uniform(0.8, 1.2))
    column, row, reach = int((x - LEFT) * SCALE), int((y - TOP) * SCALE), int(radius * SCALE * 3) + 2
    part = np.s_[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
    shape = np.exp(-0.5 * (((X[part] - float(x)) / radius) ** 2 + ((Y[part] - float(y)) / (radius * stretch)) ** 2))
    spots[part] = np.maximum(spots[part], strength * shape)


def _nostrils(identity: Identity) -> Map:
    y = nose_tip_y(identity) + 0.125
    holes = [gaussian(side * 0.105, y, 0.042, 0.022, -side * 0.25) for side in SIDES]
    return np.clip(np.maximum(*holes) * 1.15, 0, 1)


def _oil(identity: Identity) -> Map:
    """Return how glossy the skin is: forehead, nose, cheekbones, chin."""
    shine = 0.35 + 0.55 * gaussian(0, -0.6, 0.5, 0.3) + 0.75 * gaussian(0, nose_tip_y(identity) - 0.1, 0.10, 0.3)
    return shine + 0.45 * gaussians(0.55, 0.3, 0.2, 0.14) + 0.3 * gaussian(0, 1.45 * identity.face_length, 0.2, 0.12)


def _beard_region(identity: Identity, relief: Relief) -> Map:
    """Return where hair grows on jaws, chin and upper lip, 0..1."""
    mouth_y = identity.mouth_y
    jaw = smoothstep(0.74, 0.98, Y + 0.30 * (ABS_X - 0.35))
    jaw = np.maximum(jaw, smoothstep(0.70, 0.82, ABS_X) * smoothstep(0.25, 0.5, Y))
    moustache = gaussian(0, nose_tip_y(identity) + 0.28, 0.34, 0.075)
    region = np.maximum(jaw * (1 - 0.85 * gaussian(0, mouth_y + 0.02, 0.30, 0.10)), moustache)
    region = region * (1 - 0.6 * gaussians(0.6, 0.75, 0.17, 0.2))
    return np.clip(blur(region, 0.03 * SCALE), 0, 1) * relief.alpha


def _stubble(
    identity: Identity, albedo: Map, base: np.ndarray, region: Map, rng: np.random.Generator
) -> Map:
    if identity.stubble <= 0:
        return albedo
    dots = np.clip(noise(rng, SHAPE, 1.6), -1.5, 2)
    cover = np.clip(identity.stubble * (0.30 + 0.22 * dots), 0, 0.8)[..., None] * region[..., None]
    color = linear(HAIR[identity.hair_color]) * 0.7 + base * 0.08
    return albedo * (1 - cover) + color * cover


def _beard(
    identity: Identity, albedo: Map, region: Map, relief: Relief, rng: np.random.Generator
) -> tuple[Map, Map]:
    if not identity.beard:
        return albedo, np.zeros(SHAPE, np.float32)
    hair = strands(rng, np.stack([X * 0.5, np.ones_like(X)], -1), 8, 1.6)
    cover = smoothstep(0.38, 0.72, region + 0.10 * noise(rng, SHAPE, 4, 2)) * 0.93
    color = linear(HAIR[identity.hair_color]) * np.maximum(1 + 0.38 * hair, 0.25)[..., None]
    relief.height += 0.05 * blur(cover, 4) + 0.010 * cover * hair
    return albedo * (1 - cover[..., None]) + color * cover[..., None], cover


def brow_line(identity: Identity, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of the eyebrow at *t*, 0 at the nose, 1 at the temple: distance from the middle, height."""
    arch = np.sin(np.pi * np.minimum(1, t * 1.02) ** 1.15) * 1.25
    return 0.17 + 0.52 * t, identity.brow_y + 0.035 - identity.brow_arch * arch + 0.02 * t


def paint_brows(identity: Identity, base: np.ndarray, rng: np.random.Generator) -> tuple[Map, np.ndarray]:
    """Return the coverage of the eyebrows, 190 tapered strokes a side, and their linear colour (3,)."""
    cover = np.zeros(SHAPE, np.float32)
    for side in SIDES:
        hairs = [_brow_hair(identity, side, rng) for _ in range(190)]
        box = (-0.85, -0.55, -0.02, -0.02) if side < 0 else (0.02, -0.55, 0.85, -0.02)
        cover = np.maximum(cover, draw_strokes(hairs, box, 0.0105, 0.42 * identity.brow_density))
    color = linear(HAIR[identity.hair_color]) * (0.75 if identity.hair_color < GRAY_HAIR else 0.5)
    brows = np.clip(0.75 * cover + 0.40 * blur(cover, 2.0), 0, 0.95) * identity.brow_density
    return brows, np.minimum(color, base * 0.55)


def _brow_hair(identity: Identity, side: int, rng: np.random.Generator) -> np.ndarray:
    t = float(rng.uniform(0, 1)) ** 0.85
    x, middle = (float(v) for v in brow_line(identity, np.asarray(t)))
    thickness = identity.brow_thickness * (1 - 0.72 * t**2.2) * (0.65 + 0.35 * min(1, t * 6))
    y = middle + float(rng.normal(0, 0.42)) * thickness
    if rng.random() < 0.8:
        degrees = 70 - 78 * t**0.55 + float(rng.normal(0, 9))
    else:
        degrees = 20 * (1 - t) + float(rng.normal(0, 10))
    length = 0.075 + 0.03 * float(rng.random())
    k = np.linspace(0, 1, 5)
    angle = np.deg2rad(degrees) * (1 - 0.3 * k)
    return np.stack([side * (x + length * k * np.cos(angle)), y - length * k * np.sin(angle) * 0.8], -1)
