"""A head: its static maps, their deformation by expressions, and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .animation import Expression
from .canvas import HEIGHT, SCALE, SHAPE, SIDES, WIDTH, Map, Y, blur, gaussian, noise, ridge, smoothstep, to_pixels
from .hair import Hair, grow_hair
from .identity import Identity
from .relief import ABS_X, Relief, ambient_occlusion, build_relief, nose_tip_y
from .skin import Skin, brow_line, paint_brows, paint_skin

JAW_DROP = 0.155  # units, mouth wide open


@dataclass(slots=True)
class FaceMaps:
    """The maps of one frame, on the canvas: the static ones moved by the expression, then eyes and mouth painted in."""

    albedo: Map  # (HEIGHT, WIDTH, 3), linear
    gloss: Map  # strength of the skin's highlights
    height: Map
    smooth_height: Map
    alpha: Map
    occlusion: Map
    wetness: Map  # strength of the sharp highlights on lips
    catch_light: Map  # reflections of the key light in the eyes


class Head:
    """The head of one identity. All random choices here depend only on the identity."""

    def __init__(self, identity: Identity) -> None:
        rng = np.random.default_rng(identity.seed)
        self.identity = identity
        self.relief: Relief = build_relief(identity, rng)
        self.skin: Skin = paint_skin(identity, self.relief, rng)
        brows, brow_color = paint_brows(identity, self.skin.base, rng)
        self.hair: Hair = grow_hair(identity, self.relief.half_width, rng)
        albedo = self.skin.albedo * (1 - brows[..., None]) + brow_color * brows[..., None]
        occlusion = ambient_occlusion(self.relief.height)
        self._surface = np.dstack([albedo, self.skin.gloss]).astype(np.float32)
        self._shape = np.dstack(
            [self.relief.height + 0.010 * brows, self.relief.smooth_height, self.relief.alpha, occlusion]
        ).astype(np.float32)
        detail = np.random.default_rng(identity.seed + 3)
        self.lip_grain = noise(detail, SHAPE, 3.0)
        columns = detail.standard_normal((8, WIDTH // 3)).astype(np.float32)
        self.lip_lines = cv2.resize(columns, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        self.iris_spokes = detail.standard_normal(64).astype(np.float32)
        self._muscles = _muscles(identity)
        self._columns, self._rows = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))

    def move(self, expression: Expression) -> FaceMaps:
        """Return the static maps under *expression*, without eyes and mouth."""
        dx, dy = _displacement(self._muscles, expression)
        x, y = self._columns - dx * SCALE, self._rows - dy * SCALE
        surface = cv2.remap(self._surface, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shape = cv2.remap(self._shape, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        height, smooth, alpha, occlusion = (np.ascontiguousarray(shape[..., i]) for i in range(4))
        return FaceMaps(
            albedo=np.ascontiguousarray(surface[..., :3]),
            gloss=np.ascontiguousarray(surface[..., 3]),
            height=height,
            smooth_height=smooth,
            alpha=alpha,
            occlusion=occlusion,
            wetness=np.zeros(SHAPE, np.float32),
            catch_light=np.zeros(SHAPE, np.float32),
        )

    def self_shadow(self, light: np.ndarray) -> Map:
        """Return how much of a light from direction *light* (3,) in head space reaches each point, 0..1.

        The height field is marched toward the light in 14 steps of .05 units; the shadow's edge softens with distance.
        """
        height = np.maximum(self.relief.height, 0)
        lx, ly, lz = (float(v) for v in light)
        slope = float(np.hypot(lx, ly))
        shade = np.zeros(SHAPE, np.float32)
        if slope < 1e-3:
            return 1 - shade
        for k in range(1, 15):
            way = 0.05 * k
            shift = np.array([[1, 0, -lx / slope * way * SCALE], [0, 1, -ly / slope * way * SCALE]], np.float32)
            toward = cv2.warpAffine(height, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
            excess = toward - (height + way * lz / slope)
            shade = np.maximum(shade, smoothstep(0, 0.05 + 0.10 * way, excess))
        return 1 - blur(shade, 0.022 * SCALE)

    def landmarks(self, expression: Expression) -> np.ndarray:
        """Return the 68 landmarks of the iBUG 300-W scheme in head space, (68, 3)."""
        identity = self.identity
        firm = np.vstack([self._jaw_landmarks(), _brow_landmarks(identity), _nose_landmarks(identity)])
        columns, rows = _nearest_pixels(firm)
        muscles = [muscle[rows, columns] for muscle in self._muscles]
        moved = firm + np.stack(_displacement(muscles, expression), -1)
        points = np.vstack([moved, _eye_landmarks(identity, expression), _mouth_landmarks(identity, expression)])
        columns, rows = _nearest_pixels(points)
        return np.column_stack([points, self.relief.smooth_height[rows, columns]])

    def _jaw_landmarks(self) -> np.ndarray:
        length = self.identity.face_length
        y = np.array([0.02, 0.28, 0.54, 0.80, 1.04, 1.27, 1.46 * length, 1.60 * length, 1.70 * length])
        x = np.interp(y, Y[:, 0], self.relief.half_width[:, 0])
        x[-2:] *= (0.85, 0)
        right = np.stack([-x, y], -1)
        return np.vstack([right, (right * (-1, 1))[-2::-1]])


def _muscles(identity: Identity) -> list[Map]:
    """Return the region that each movement affects: jaw, mouth corners (left, right), cheeks (left, right), brows."""
    mouth_y = identity.mouth_y
    jaw = smoothstep(mouth_y - 0.05, mouth_y + 0.22, Y) * (1 - 0.55 * smoothstep(0.5, 1.0, ABS_X))
    jaw = jaw * (1 - 0.75 * smoothstep(1.62, 2.1, Y))
    corners = [gaussian(side * (identity.mouth_width + 0.02), mouth_y - 0.02, 0.17, 0.15) for side in SIDES]
    cheeks = [gaussian(side * 0.55, 0.52, 0.22, 0.2) for side in SIDES]
    brows = sum(gaussian(side * 0.42, identity.brow_y, 0.3, 0.13) for side in SIDES)
    return [jaw, *corners, *cheeks, brows + 0.5 * gaussian(0, -0.42, 0.3, 0.15)]


def _displacement(muscles: list[Map], expression: Expression) -> tuple[np.ndarray, np.ndarray]:
    """Return how far points of the skin move right and down, in units."""
    jaw, left, right, left_cheek, right_cheek, brows = muscles
    smile, lift = expression.smile, max(expression.smile, 0)
    dx = (0.055 * smile - 0.06 * expression.pucker) * (right - left) + 0.018 * smile * (right_cheek - left_cheek)
    dy = JAW_DROP * expression.opening * jaw - 0.045 * smile * (left + right)
    dy -= 0.028 * lift * (left_cheek + right_cheek) + 0.038 * expression.brow * brows
    return dx, dy


@dataclass(slots=True)
class MouthCurves:
    """The lips at given abscissas: ordinates of four curves, and half the width of the mouth."""

    top: np.ndarray
    upper: np.ndarray  # lower edge of the upper lip
    lower: np.ndarray  # upper edge of the lower lip
    bottom: np.ndarray
    half_width: float


def mouth_half_width(identity: Identity, expression: Expression) -> float:
    """Return half the width of the mouth, units."""
    change = 0.13 * expression.smile - 0.17 * expression.pucker - 0.06 * expression.opening
    return identity.mouth_width * (1 + change)


def mouth_curves(identity: Identity, expression: Expression, x: np.ndarray) -> MouthCurves:
    """Return the lips at abscissas *x*."""
    half_width = mouth_half_width(identity, expression)
    r = np.clip(np.abs(x) / half_width, 0, 1)
    corners = (-0.045 * expression.smile + 0.25 * JAW_DROP * expression.opening) * r**2
    bow = 1 - 0.16 * ridge(x, 0.045) + 0.05 * ridge(np.abs(x) - 0.10, 0.05)
    pout = 1 + 0.25 * expression.pucker
    upper = identity.mouth_y + 0.010 * (1 - r**2) + 0.012 * ridge(x, 0.06) + corners
    upper = upper - 0.02 * expression.opening * (1 - r**2)
    top = upper - identity.upper_lip * pout * bow * (1 - r**1.9) - 0.002
    lower = upper + 0.205 * expression.opening * np.clip(1 - r**2.2, 0, 1) ** 0.8
    bottom = lower + identity.lower_lip * pout * np.clip(1 - r**2.4, 0, 1) ** 0.85 + 0.002
    return MouthCurves(top, upper, lower, bottom, half_width)


def lid_curves(identity: Identity, expression: Expression, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ordinates of the upper and the lower lid at *u*, measured from the eye's middle toward the temple."""
    r = np.clip(u / identity.eye_width, -1, 1)
    squint = 1 - 0.22 * max(expression.smile, 0) + 0.10 * expression.brow
    arch = np.clip(1 - np.abs(r) ** 2.1, 0, 1) ** 0.82
    upper = -identity.eye_height * squint * arch * (1 - 0.10 * r)
    lower = 0.74 * identity.eye_height * np.clip(1 - np.abs(r) ** 2.3, 0, 1) ** 0.9 * (1 + 0.12 * r)
    upper = upper + (lower * 0.96 - upper) * expression.blink
    tilt = -identity.eye_tilt * u
    return upper + tilt, lower + tilt


def _brow_landmarks(identity: Identity) -> np.ndarray:
    t = np.array([0.02, 0.25, 0.5, 0.75, 1.0])
    x, y = brow_line(identity, t)
    x = x + 0.03 * t  # trackers put the tail's point past the last hairs
    return np.vstack([np.stack([-x, y], -1)[::-1], np.stack([x, y], -1)])


def _nose_landmarks(identity: Identity) -> np.ndarray:
    tip_y = nose_tip_y(identity)
    bridge = [(0, y) for y in (-0.04, 0.14, 0.30, tip_y)]
    base = [(x, tip_y + 0.15 - 0.02 * abs(x) / 0.15) for x in (-0.17, -0.085, 0, 0.085, 0.17)]
    return np.array(bridge + base)


def _eye_landmarks(identity: Identity, expression: Expression) -> np.ndarray:
    """Return six points for each eye, clockwise from its left corner in the image."""
    points = []
    for side in SIDES:
        # u from left to right in the image: the temple comes first in the left eye
        u = side * np.array([-1, -0.42, 0.42, 1]) * identity.eye_width
        upper, lower = lid_curves(identity, expression, u)
        x = side * (identity.eye_x + u)
        points += [*zip(x, upper, strict=True), (x[2], lower[2]), (x[1], lower[1])]
    return np.array(points)


def _mouth_landmarks(identity: Identity, expression: Expression) -> np.ndarray:
    """Return twelve points around the lips, eight around the opening, clockwise from the left corner."""
    share = np.array([-1, -0.62, -0.26, 0, 0.26, 0.62, 1])
    x = share * mouth_half_width(identity, expression)
    curves = mouth_curves(identity, expression, x)
    above = np.where(np.abs(share) == 1, curves.upper, curves.top)
    outer = [*zip(x, above, strict=True), *((x[k], curves.bottom[k]) for k in (5, 4, 3, 2, 1))]
    inner = [(x[0] * 0.9, curves.upper[0]), *((x[k], curves.upper[k]) for k in (2, 3, 4))]
    inner += [(x[6] * 0.9, curves.upper[6]), *((x[k], curves.lower[k]) for k in (4, 3, 2))]
    return np.array(outer + inner)


def _nearest_pixels(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.round(to_pixels(points)).astype(int)
    return pixels[:, 0].clip(0, WIDTH - 1), pixels[:, 1].clip(0, HEIGHT - 1)
