"""Frames of a head in its scene, in linear light, supersampled, with the landmarks a perfect tracker would give."""

from __future__ import annotations

import cv2
import numpy as np

from .animation import Expression
from .background import MARGIN, paint_room
from .body import MARGIN_X, MARGIN_Y, paint_body
from .canvas import HEIGHT, LEFT, SCALE, TOP, Map, blur, smoothstep
from .eyes import paint_eyes
from .hair import LONG_STYLES, long_hair_end
from .head import Head
from .identity import Identity
from .mouth import paint_mouth
from .rotation import rotated, rotation_matrix, transposed
from .scene import Scene
from .shading import lights_on, shade

SUPERSAMPLING = 2
NECK_JOINT = (0.0, 0.9, -0.15)  # the fixed point of head rotations


class Renderer:
    """One identity in one scene; every frame is a function of its expression alone."""

    def __init__(self, identity: Identity, scene: Scene, width: int, height: int) -> None:
        self.identity, self.scene = identity, scene
        self.width, self.height = width * SUPERSAMPLING, height * SUPERSAMPLING
        self.head = Head(identity)
        pose = rotation_matrix(scene.yaw, scene.pitch, scene.roll)
        self._shadow = self.head.self_shadow(np.array(transposed(pose, scene.key)))
        self._room = paint_room(scene.room, scene.room_seed, self.width, self.height)
        self._body = paint_body(
            identity, self.head.skin.base, scene, self.width, self.height, scene.scale * SUPERSAMPLING
        )

    def frame(self, expression: Expression) -> tuple[Map, np.ndarray]:
        """Return the image (2 height, 2 width, 3), linear RGB, and the landmarks (68, 2) in pixels of the frame."""
        maps = self.head.move(expression)
        paint_eyes(self.head, maps, expression, self.scene.key)
        paint_mouth(self.head, maps, expression)
        rotation = rotation_matrix(expression.yaw, expression.pitch, expression.roll)
        color, alpha = shade(self.head, maps, self.scene, lights_on(self.scene, rotation), self._shadow)
        scale = self.scene.scale * SUPERSAMPLING * expression.zoom
        joint = rotated(rotation, NECK_JOINT)
        origin = (
            self.scene.center_x * self.width + (expression.x - joint[0]) * scale,
            self.scene.center_y * self.height + (expression.y - joint[1] + NECK_JOINT[1]) * scale,
        )
        x, y = np.meshgrid(
            (np.arange(self.width, dtype=np.float32) - origin[0]) / scale,
            (np.arange(self.height, dtype=np.float32) - origin[1]) / scale,
        )
        columns, rows = _project(rotation, self._geometry(maps.smooth_height), x, y)
        layer = cv2.remap(np.dstack([color, alpha]), columns, rows, cv2.INTER_LINEAR)
        image = self._behind(expression, scale, x, y, float(rotation[0, 2]))
        image = image * (1 - layer[..., 3:]) + layer[..., :3]
        px, py, _ = rotated(rotation, self.head.landmarks(expression).T)
        points = np.stack([px * scale + origin[0], py * scale + origin[1]], -1)
        return image, (points + 0.5) / SUPERSAMPLING - 0.5

    def _geometry(self, smooth_height: Map) -> Map:
        """Return the height that decides where a point lands: the hair's where it covers."""
        cover, height = self.head.hair.alpha, self.head.hair.height
        return blur(
            np.where(cover > 0.5, np.maximum(height, smooth_height * (cover < 0.9)), smooth_height), 0.03 * SCALE
        )

    def _behind(self, expression: Expression, scale: float, x: Map, y: Map, turned: float) -> Map:
        """Return background, hair behind the neck, and body."""
        size = (self.width, self.height)
        center = (
            MARGIN + 2 * expression.x + self.width / 2 - 0.5,
            MARGIN + 2 * expression.y + self.height / 2 - 0.5,
        )
        image = cv2.getRectSubPix(self._room, size, center)
        if self.identity.style in LONG_STYLES:
            cover = self._back_hair(x - 0.25 * turned, y)[..., None]
            color = self.head.hair.color[HEIGHT // 2 - 100 : HEIGHT // 2].mean((0, 1)) * 0.30
            image = image * (1 - cover) + color * cover
        shift = np.array(
            [[1, 0, 0.6 * expression.x * scale - MARGIN_X], [0, 1, 0.5 * expression.y * scale - MARGIN_Y]], np.float32
        )
        body = cv2.warpAffine(self._body, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return image * (1 - body[..., 3:]) + body[..., :3] * body[..., 3:]

    def _back_hair(self, x: Map, y: Map) -> Map:
        """Return the coverage of hair behind the neck, narrow enough at the top to be hidden by the head."""
        edge = 1.02 + 0.6 * self.identity.hair_volume + 0.08 * smoothstep(0.3, 1.5, y)
        edge = edge - 0.35 * (1 - smoothstep(-0.8, 0.3, y))
        end = long_hair_end(self.identity.style) - 0.05
        return smoothstep(-0.03, 0.03, edge - np.abs(x)) * smoothstep(-0.04, 0.04, end - y) * (y > -0.8)


def _project(rotation: np.ndarray, height: Map, x: Map, y: Map) -> tuple[Map, Map]:
    """Return the canvas pixels seen at image positions (x, y), head units: a turned height map in scaled orthographic
    projection.

    The depth along each ray is found by seven damped fixed-point steps.
    """
    (a, b, e), (c, d, f) = rotation[:2].tolist()
    determinant = a * d - b * c
    z = np.full_like(x, 0.8)
    for step in range(7):
        tx, ty = x - e * z, y - f * z
        columns = ((d * tx - b * ty) / determinant - LEFT) * SCALE - 0.5
        rows = ((a * ty - c * tx) / determinant - TOP) * SCALE - 0.5
        found = cv2.remap(height, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        z = z + (0.85 if step else 1.0) * (found - z)
    return columns, rows


def exposure(image: Map, landmarks: np.ndarray, scene: Scene) -> float:
    """Return the exposure of a camera that meters on the face: partial compensation toward a mean of .25."""
    left, top = np.clip(landmarks.min(0), 0, None).astype(int) * SUPERSAMPLING
    right, bottom = landmarks.max(0).astype(int) * SUPERSAMPLING
    mean = float(image[top:bottom, left:right].mean())
    return scene.exposure * float(np.clip((0.25 / max(mean, 0.01)) ** 0.6, 0.6, 1.75))
