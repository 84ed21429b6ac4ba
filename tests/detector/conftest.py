"""A small FaceForensics++ tree of real video files: a photograph moved, mirrored and lit, and forgeries of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from skimage import data

import mozcodec
from detector.config import FacesConfig
from detector.data.faces import make_faces
from detector.data.files import write_json
from detector.data.index import Face, count_identities, read_index, write_index
from detector.data.layout import count
from detector.data.png import encode_png
from detector.data.shards import ShardWriter
from tools.sample.writer import X264_PARAMS

if TYPE_CHECKING:
    import torch

FRAMES = 8
PAIRS = {"train": ("000", "001"), "val": ("002", "003"), "test": ("004", "005")}
METHODS = ("Deepfakes", "FaceSwap")
CONFIG = FacesConfig(methods=METHODS, size=64, frames_real=4, frames_fake=2)


@pytest.fixture
def descriptors_below() -> Callable[[Path], int]:
    """Return a function: how many descriptors of this process are open below a folder.

    Their total is of no use: those of earlier tests are closed at any time, when garbage is collected.
    """

    def count_below(folder: Path) -> int:
        names = []
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                names.append(path.readlink())
        return sum(name.is_relative_to(folder) for name in names)

    return count_below


def photograph() -> np.ndarray:
    """Return 240 x 320 RGB pixels of the astronaut Eileen Collins (NASA, public domain); her face is 95 px wide."""
    return np.ascontiguousarray(data.astronaut()[:240, 65:385])


def person(number: int) -> list[np.ndarray]:
    """Return the frames of one "person": the photograph, mirrored for odd numbers, under its own light."""
    image = photograph()
    if number % 2:
        image = image[:, ::-1]
    lit = np.clip(image * (0.7 + 0.08 * number), 0, 255).astype(np.uint8)
    return [np.roll(lit, 2 * i - FRAMES, axis=1) for i in range(FRAMES)]


def forge(frames: list[np.ndarray], method: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return *frames* with the middle of the face blurred or tinted, and the masks of the change."""
    forged, masks = [], []
    for i, frame in enumerate(frames):
        centre = (160 + 2 * i - FRAMES, 116)  # the face is in the middle, so mirrored it is too
        mask = cv2.ellipse(np.zeros(frame.shape[:2], np.uint8), centre, (34, 44), 0, 0, 360, 255, -1)
        other = cv2.GaussianBlur(frame, (0, 0), 2.5) if method == "Deepfakes" else cv2.add(frame, (20, 0, 12, 0))
        forged.append(np.where(mask[..., None] > 0, other, frame))
        masks.append(np.repeat(mask[..., None], 3, axis=2))
    return forged, masks


def encode_video(path: Path, frames: Iterable[np.ndarray], rate: int = 25, crf: int = 20) -> Path:
    """Write *frames*, uint8 RGB, as an H.264 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = None
        for image in frames:
            if stream is None:
                options = {"crf": str(crf), "threads": "1", "x264-params": X264_PARAMS}
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        assert stream is not None
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return encode_video


@pytest.fixture(scope="session")
def face_photograph() -> np.ndarray:
    return photograph()


@pytest.fixture(scope="session")
def small_config() -> FacesConfig:
    """What the small tree is cropped with: 4 frames of a real and 2 of a forged clip, 64 px wide."""
    return CONFIG


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six real clips and a forgery of each by two methods, with masks and splits. Not to be written to."""
    root = tmp_path_factory.mktemp("tree") / "data"
    for split, pair in PAIRS.items():
        (root / "splits").mkdir(parents=True, exist_ok=True)
        (root / "splits" / f"{split}.json").write_text(json.dumps([pair]))
        for target, source in (pair, pair[::-1]):
            frames = person(int(target))
            encode_video(root / f"original_sequences/youtube/c23/videos/{target}.mp4", frames)
            for method in METHODS:
                forged, masks = forge(frames, method)
                folder = root / "manipulated_sequences" / method
                encode_video(folder / f"c23/videos/{target}_{source}.mp4", forged)
                encode_video(folder / f"masks/videos/{target}_{source}.mp4", masks)
    (root / "dataset.json").write_text(json.dumps({"name": "test", "synthetic": True, "note": "one photograph"}))
    return root


@pytest.fixture(scope="session")
def small_faces(small_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the faces stage for the small tree. Not to be written to."""
    out = tmp_path_factory.mktemp("out") / "faces"
    make_faces(small_tree, out, CONFIG, workers=2)
    return out


@pytest.fixture(scope="session")
def packed_crops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drawn crops of 32 px, as the stages leave them: ``faces`` (PNG), ``compressed`` (JPEG 77). Not to be written to.

    Six persons in three pairs, one for each split, with forgeries by two methods: those have a fine chequered pattern.
    """
    root = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    pattern = 24 * (-1.0) ** np.add.outer(np.arange(32), np.arange(32))[..., None]
    crops: dict[str, tuple[np.ndarray, dict[str, object]]] = {}
    for split, pair in PAIRS.items():
        for target, source in (pair, pair[::-1]):
            for method in ("original", *METHODS):
                fake = method != "original"
                name = f"{target}_{source}" if fake else target
                for frame in range(8 if fake else 12):
                    low = cv2.resize(rng.uniform(60, 200, (4, 4, 3)), (32, 32), interpolation=cv2.INTER_CUBIC)
                    image = np.clip(low + rng.normal(0, 4, low.shape) + fake * pattern, 0, 255).astype(np.uint8)
                    crops[f"c23/{method}/{name}/{frame:04d}"] = image, {
                        "video": f"{method}/{name}",
                        "compression": "c23",
                        "frame": frame,
                        "method": method,
                        "identity": f"{target}+{source}" if fake else target,
                        "pair": "_".join(pair),
                        "split": split,
                        "label": int(fake),
                    }
    folders = {"faces": (".png", encode_png), "compressed": (".jpg", lambda image: mozcodec.encode(image, quality=77))}
    for folder, (suffix, encode) in folders.items():
        with ShardWriter(root / folder, suffix=suffix) as shards:
            slots = {key: shards.add(key, encode(crops[key][0])) for key in sorted(crops)}
        write_index(
            root / folder / "index.csv",
            [Face(**dataclasses.asdict(slots[key]), **values) for key, (_, values) in crops.items()],
        )
    faces = read_index(root / "faces")
    clips = {face.video: face for face in faces}
    write_json(
        root / "faces" / "summary.json",
        {
            "dataset": {"name": "drawn", "synthetic": True, "note": "noise"},
            "parameters": {"size": 32},
            "identities": count_identities(faces),
            "videos": count(clips.values()),
            "faces": count(faces),
        },
    )
    return {folder: root / folder for folder in folders}


@pytest.fixture(scope="session")
def untrained() -> dict[str, torch.Tensor]:
    """The weights of a Meso4 for crops of 64 px: random, with the batch statistics of noise."""
    import torch

    from detector.models import build

    torch.manual_seed(1)
    model = build("meso4").train()
    with torch.no_grad():
        model(torch.rand(16, 3, 64, 64))
    return model.state_dict()
