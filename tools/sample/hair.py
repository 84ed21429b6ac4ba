"""Hair: where it covers the head, its colour, strands and height, for seven styles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import SCALE, SHAPE, Map, X, Y, blur, noise, smoothstep, strands, unit
from .identity import Identity
from .palette import HAIR, linear
from .relief import ABS_X, outline

LONG_STYLES = ("long", "longpart", "bob")  # hair falls beside and behind the face
FRINGE_STYLES = ("part", "longpart", "bob")
FRIZZ = {"curly": 0.055, "short": 0.018, "long": 0.012, "longpart": 0.012, "bob": 0.012}  # else .008, units
SIDEBURN_END = {"short": 0.15, "part": 0.18, "buzz": 0.1, "curly": 0.25, "bun": 0.0}  # else none, y
SIDE_VOLUME = {"short": 0.35, "part": 0.35, "bun": 0.15, "buzz": 0.06, "curly": 1.5}  # else 1.1, of the volume


@dataclass(slots=True)
class Hair:
    """Hair on the canvas."""

    alpha: Map
    color: Map  # (HEIGHT, WIDTH, 3), linear
    strand: Map
    tangent: Map  # (HEIGHT, WIDTH, 2), unit vectors along the strands
    height: Map
    shadow: Map  # what it casts on the face, 0..1


def long_hair_end(style: str) -> float:
    """Return the lower end of the long styles, y in units."""
    return 1.25 if style == "bob" else 3.0


def grow_hair(identity: Identity, half_width: Map, rng: np.random.Generator) -> Hair:
    """Return the hair of *identity*, whose head is *half_width* (HEIGHT, 1) wide."""
    style = identity.style
    side = 1 if rng.random() < 0.5 else -1  # of the parting
    coarse, fine = noise(rng, SHAPE, 22, 2), noise(rng, SHAPE, 5, 2)
    outside = _inside_silhouette(identity, coarse, fine)
    inside = _beyond_hairline(identity)
    if style in FRINGE_STYLES or (style == "short" and rng.random() < 0.5):
        inside = np.maximum(inside, _fringe(identity, side))
    if style in LONG_STYLES:
        inside, outside = _let_fall(identity, half_width, inside, outside, coarse, fine)
    flow = _flow(style, side, np.random.default_rng(identity.seed + 7))
    strand = strands(rng, flow, 10 if style == "curly" else 16, 1.4)
    clump = strands(rng, flow, 22, 4.5)
    alpha = _cover(style, inside, outside, strand, clump)
    if style == "buzz":
        alpha = alpha * np.clip(0.70 + 0.05 * noise(rng, SHAPE, 1.8), 0, 1)
        alpha = alpha * smoothstep(-0.02, 0.16, inside + 0.03 * fine)
    base = linear(HAIR[identity.hair_color]) * float(rng.uniform(0.8, 1.2))
    texture = 1 + 0.22 * noise(rng, SHAPE, 1.6) if style == "buzz" else 1 + 0.27 * strand + 0.20 * clump
    shadow = blur(np.roll(alpha, int(0.05 * SCALE), 0), 0.045 * SCALE) * (1 - alpha)
    return Hair(
        alpha=alpha,
        color=_color(base, texture, inside, coarse),
        strand=strand,
        tangent=unit(flow),
        height=_height(identity) + 0.012 * strand + 0.024 * clump,
        shadow=shadow,
    )


def _inside_silhouette(identity: Identity, coarse: Map, fine: Map) -> Map:
    """Return the signed distance from the outer edge of the hair, positive inside."""
    style, volume = identity.style, identity.hair_volume
    top = -1.74 - volume * (1.8 if style == "curly" else 1.1)
    up = np.clip((Y - top) / (-0.95 - top), 0, 1)
    width = outline(identity, np.clip(Y[:, 0], -0.95, 2))[:, None]
    edge = (width + _side_volume(identity) + 0.02) * np.sqrt(np.clip(1 - (1 - up) ** 2.3, 0, 1))
    frizz = FRIZZ.get(style, 0.008)
    distance = blur(edge, 6) - ABS_X + frizz * coarse + frizz * 0.8 * fine
    return np.minimum(distance, Y - top + frizz * fine)


def _side_volume(identity: Identity) -> float:
    return identity.hair_volume * SIDE_VOLUME.get(identity.style, 1.1)


def _beyond_hairline(identity: Identity) -> Map:
    """Return the signed distance from the hairline on forehead and temples, positive where hair grows."""
    male, age = identity.male, identity.age
    receding = 0.10 * age if male else 0.0
    line = identity.hairline + 0.10 * (ABS_X / 0.8) ** 2 * (0.4 if male else 1.0)
    line = line - receding * np.exp(-0.5 * ((ABS_X - 0.5) / 0.15) ** 2)
    temple = 0.80 - 0.06 * age * male + 0.10 * smoothstep(-0.9, -0.2, Y) + 0.06 * smoothstep(-0.2, 0.3, Y)
    beside = np.minimum(ABS_X - temple, SIDEBURN_END.get(identity.style, 9) - Y)
    return np.maximum(line - Y, beside)


def _fringe(identity: Identity, side: int) -> Map:
    """Return the signed distance from a fringe swept over the forehead from a parting."""
    away = (X - side * 0.32) * -side
    drop = 0.14 if identity.style == "short" else 0.26
    edge = identity.hairline + 0.05 + drop * smoothstep(0.0, 0.9, away) - 0.05 * smoothstep(0, -0.3, away)
    return np.where(away > -0.4, edge - Y, np.float32(-9))


def _let_fall(
    identity: Identity, half_width: Map, inside: Map, outside: Map, coarse: Map, fine: Map
) -> tuple[Map, Map]:
    """Extend the two distances by hair hanging beside the face."""
    end = long_hair_end(identity.style)
    curtain = 0.86 - 0.10 * smoothstep(-0.6, 0.2, Y) + 0.12 * smoothstep(0.4, 1.3, Y) + 0.03 * coarse
    inside = np.maximum(inside, np.minimum(ABS_X - curtain, end - Y + 0.05 * fine))
    widest = float(half_width[np.argmin(np.abs(Y[:, 0] - 0.1)), 0])
    edge = widest + _side_volume(identity) + 0.05 + 0.10 * smoothstep(0.3, 1.5, Y)
    hanging = np.minimum(edge - ABS_X + 0.02 * coarse, end + 0.08 - Y + 0.04 * fine)
    return inside, np.where(Y > -0.3, hanging, outside)


def _cover(style: str, inside: Map, outside: Map, strand: Map, clump: Map) -> Map:
    softness = 0.05 if style in ("short", "buzz", "bun") else 0.03
    raggedness = 0.030 if style in ("short", "part", "curly") else 0.016
    hairline = smoothstep(-softness, softness, inside + raggedness * strand + 0.012 * clump)
    return hairline * smoothstep(-0.015, 0.025, outside + 0.009 * strand)


def _color(base: np.ndarray, texture: Map, inside: Map, coarse: Map) -> Map:
    """Return strands and clumps over *base*, darker at the roots."""
    root = 1 - 0.35 * np.exp(-0.5 * (np.maximum(inside, 0) / 0.05) ** 2)
    depth = 0.70 + 0.45 * smoothstep(0, 0.35, inside)
    shade = np.clip(texture * root * depth, 0.12, 2.2)[..., None]
    warmth = 1 + 0.04 * coarse[..., None] * np.array([1, 0, -1], np.float32)
    return (base * shade * warmth).astype(np.float32)


def _height(identity: Identity) -> Map:
    """Return the skull under the hair, raised by half the volume."""
    across = np.sqrt(np.clip(1 - (ABS_X / 1.32) ** 2.4, 0, 1))
    upward = np.sqrt(np.clip(1 - np.clip((-0.4 - Y) / 1.65, 0, 1) ** 2.4, 0, 1))
    skull = 1.12 * across * upward
    skull = np.where(Y > 0.2, np.minimum(skull, 0.62), skull)
    return blur((skull + identity.hair_volume * 0.5).astype(np.float32), 5)


def _flow(style: str, side: int, rng: np.random.Generator) -> Map:
    """Return the direction strands run in, (HEIGHT, WIDTH, 2)."""
    turn = noise(rng, SHAPE, 40, 2) * 0.25
    if style == "curly":
        return np.stack([noise(rng, SHAPE, 11, 2), noise(rng, SHAPE, 11, 2) + 0.2], -1)
    fx: Map
    fy: Map
    if style == "bun":
        fx, fy = X * 0.55, np.full(SHAPE, -1.0, np.float32)
    elif style in LONG_STYLES:
        fx, fy = _flow_from_parting(0.0 if style == "long" else side * 0.32)
    elif style == "part":
        away = (X - side * 0.32) * -side
        fx = -side * (smoothstep(-0.2, 0.2, away) - 0.6 * (1 - smoothstep(-0.2, 0.2, away)))
        fy = 0.25 + 0.9 * smoothstep(0.5, 1.0, ABS_X) - 0.55 * (1 - smoothstep(-0.1, 0.6, away))
    else:
        fx, fy = X * 0.7 + 0.25 * side, -1.0 + 1.9 * smoothstep(0.55, 0.95, ABS_X)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([c * fx - s * fy, s * fx + c * fy], -1).astype(np.float32)


def _flow_from_parting(center: float) -> tuple[Map, Map]:
    angle = np.arctan2(X - center, np.maximum(Y + 1.95, 0.02) * 0.55)
    fx = np.sin(angle) * (1 - smoothstep(-0.9, 0.2, Y))
    return fx, np.cos(angle) * 0.6 + 0.9 * smoothstep(-1.2, -0.2, Y) + 0.15


