"""The worker process: loads the weights once, then examines one file at a time for the server.

``python -m detector.serve.worker DESCRIPTOR`` is started by `pool.Worker` with one end of a socket. A file arrives as
the descriptor of an anonymous file in memory. The process can write no file, leaves no core dump, and its memory is
limited; the server ends it when a file takes too long.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DetectorError
from .limits import Limits
from .messages import ClosedError, Message, receive, send
from .problem import Problem

if TYPE_CHECKING:
    from ..answer.examine import Examined, Examiner, Options

__all__ = ["Setup", "State", "answer", "check", "handle", "hello", "main", "start", "zipped"]

PREVIEW = 1600  # pixels of the longer side of an annotated image
# in the messages of OpenCV, torch and C++ when an allocation fails
OUT_OF_MEMORY = ("Insufficient memory", "not enough memory", "bad_alloc", "alloc_cpu")
PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is started with: the folder of the weights, the parameter file or None, and the limits."""

    train: str
    params: str | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class State:
    """What a worker has loaded: the weights, the bytes of their card, and the limits."""

    examiner: Examiner
    card: bytes
    limits: Limits


def main() -> None:
    """Serve the socket whose descriptor is the argument, until it is closed."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    _die_with_parent()
    for ignored in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the server ends its workers
        signal.signal(ignored, signal.SIG_IGN)
    try:
        values = receive(connection).values
        setup = Setup(values["train"], values["params"], Limits(**values["limits"]))
        try:
            state = start(setup)
        except (DetectorError, OSError) as error:
            send(connection, Message({"error": str(error)}))
            return
        send(connection, Message(hello(state.examiner)))
        _confine(state)
        while True:
            message = receive(connection)
            try:
                reply = answer(state, message)
            finally:
                if message.file is not None:
                    os.close(message.file)
            send(connection, reply)
    except ClosedError:
        pass  # the server has ended, or ends this worker
    os._exit(0)


def start(setup: Setup) -> State:
    """Return what is loaded once; DetectorError if the weights cannot be used."""
    from evaluation.threads import let_idle_threads_sleep, pin_numpy

    from ..arithmetic import pin
    from ..config import read_params

    let_idle_threads_sleep()
    pin_numpy()
    params = read_params(None if setup.params is None else Path(setup.params))
    pin(params.train)
    # a second barrier behind `check`, for all formats that OpenCV reads
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(setup.limits.pixels)
    from ..answer.examine import Examiner, Options
    from ..card import CARD

    train = Path(setup.train)
    examiner = Examiner(train, params, Options(frames=setup.limits.frames))
    return State(examiner, (train / CARD).read_bytes(), setup.limits)


def hello(examiner: Examiner) -> dict[str, Any]:
    """Return what the server is told about the weights."""
    card = examiner.card
    return {
        "caution": examiner.caution,
        "settings": examiner.settings,
        "weights": card.weights_sha256,
        "model": card.model,
        "data": card.data.name if card.data else None,
    }


def _die_with_parent() -> None:
    """Have the kernel kill this process when the server ends, also while a decoder holds the interpreter's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH, signal.SIGKILL)


def _confine(state: State) -> None:
    """Allow this process no more files, core dumps or standard error, and so much more memory."""
    sys.dont_write_bytecode = True
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if state.examiner.device.type == "cpu":  # CUDA reserves address space that is no memory
        allowed = _private_memory() + state.limits.worker_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))


def _private_memory() -> int:
    """Return the size of the private writable memory of this process, which RLIMIT_DATA limits; 0 if unknown."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:")), 0)


def answer(state: State, message: Message) -> Message:
    """Return the reply to *message*; whatever is wrong with the file is in it."""
    try:
        return handle(state, message)
    except Problem as problem:
        return Message({"problem": problem.code, "detail": problem.detail})
    except MemoryError:
        return _too_much_memory(state.limits)
    except Exception as error:
        if any(words in str(error) for words in OUT_OF_MEMORY):
            return _too_much_memory(state.limits)
        return Message({"bug": traceback.format_exc()})


def _too_much_memory(limits: Limits) -> Message:
    detail = f"examining the file takes more than {limits.worker_bytes >> 20} MiB of memory"
    return Message({"problem": "too_much_memory", "detail": detail})


def handle(state: State, message: Message) -> Message:
    """Return the reply to *message*; Problem if the file is not accepted."""
    assert message.file is not None
    path = _path_of(message.file)
    verbs: dict[str, Callable[[State, dict[str, Any], Path], Message]] = {
        "examine": _examine, "evidence": _evidence, "annotate": _annotate, "history": _history,
    }  # fmt: skip
    check(path, state.limits)
    return verbs[message.values["do"]](state, message.values, path)


def _path_of(file: int) -> Path:
    """Return a path by which this process opens the file with the descriptor *file*."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        raise DetectorError("/proc is not mounted: detector serve needs it")
    return folder / str(file)


def check(path: Path, limits: Limits) -> None:
    """Raise Problem unless the file *path* is an image or a video by its content and within the *limits*."""
    from ..data.pictures import kind_of

    kind = kind_of(path)  # the path has no suffix, so the content decides
    if kind is None:
        raise Problem("unsupported", "the content of the file is neither an image nor a video of a known format")
    if kind == "image":
        size = _size_of_image(path.read_bytes())
        if size is not None:
            _check_pixels(size, limits)
        return
    _check_video(path, limits)


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.pixels:
        raise Problem(
            "too_many_pixels",
            f"{width} x {height} pixels are {_mega(width * height)} megapixels; at most {_mega(limits.pixels)} are "
            "accepted",
        )


def _mega(pixels: int) -> str:
    return f"{pixels / 1e6:.4g}" if pixels < 1e9 else f"{pixels / 1e6:,.0f}"


def _size_of_image(data: bytes) -> tuple[int, int] | None:
    """Return width and height by the header of an image; None if the header cannot be read, nor then the image."""
    import warnings

    from PIL import Image

    import mozcodec

    if data.startswith(b"\xff\xd8"):
        try:
            header = mozcodec.read_header(data)
        except mozcodec.JpegError:
            return None
        return header.width, header.height
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    import io

    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # of damaged files, by many kinds of error; reading the image tells which
        return None


def _check_video(path: Path, limits: Limits) -> None:
    import av

    from ..data.video import length
    from ..errors import DataError

    try:
        with av.open(str(path)) as container:
            streams = container.streams.video
            size = (streams[0].width, streams[0].height) if streams else (0, 0)
        _check_pixels(size, limits)
        count, _ = length(path)
    except (av.FFmpegError, DataError):
        return  # the answer says what is wrong
    if count > limits.video_frames:
        raise Problem(
            "too_many_frames", f"the video has {count:,} frames; at most {limits.video_frames:,} are accepted"
        )


def _options(values: dict[str, Any], limits: Limits, maps: bool = False) -> Options:
    from ..answer.examine import RESHARED, Options

    asked = values["options"]
    return Options(
        prior=asked["prior"],
        frames=min(asked["frames"], limits.frames),
        aligned=asked["aligned"],
        reshared=RESHARED if asked["robustness"] else (),
        maps=maps,
    )


def _examine(state: State, values: dict[str, Any], path: Path) -> Message:
    """Return the line of JSON of ``predict --json``, the crops, and the answer as HTML."""
    examined = state.examiner.under(_options(values, state.limits)).examine(path, values["name"])
    return _reply(examined, values["address"])


def _evidence(state: State, values: dict[str, Any], path: Path) -> Message:
    """Return the same with maps, and the evidence bundle."""
    from ..answer.bundle import in_memory

    examined = state.examiner.under(_options(values, state.limits, maps=True)).examine(path, values["name"])
    reply = _reply(examined, values["address"])
    if examined.answer.answered:
        files = in_memory(examined, state.examiner.caution, state.card)
        reply.parts["evidence.zip"] = zipped(files, f"evidence-{str(examined.answer.sha256)[:12]}")
    return reply


def _reply(examined: Examined, address: str) -> Message:
    from ..answer.bundle import images_of
    from ..answer.page import answer_html
    from ..answer.record import as_line

    answer = examined.answer
    if answer.error is not None and any(words in answer.error for words in OUT_OF_MEMORY):
        raise MemoryError  # OpenCV's error for an allocation that fails, in the words of a damaged file
    images = images_of(examined)
    html = answer_html(answer, images, lambda name, _: f"{address}{name}.png")
    values = {
        "answered": answer.answered,
        "verdict": answer.verdict,
        "sha256": answer.sha256,
        "faces": [
            {"person": face.person, "frame": face.frames[0], "box": face.box, "corners": face.corners}
            for face in answer.faces
        ],
    }
    parts = {f"images/{name}.png": data for name, data in images.items()}
    return Message(values, {"answer.json": as_line(answer).encode(), "answer.html": html.encode(), **parts})


def zipped(files: dict[str, bytes], folder: str) -> bytes:
    """Return *files* by name as a ZIP archive with one *folder*; the same files give the same bytes."""
    import io
    import zipfile

    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return memory.getvalue()


def _annotate(state: State, values: dict[str, Any], path: Path) -> Message:
    """Return the image, or the first scored frame of a video, with the faces of ``values["faces"]`` drawn on it."""
    import cv2
    import numpy as np

    import mozcodec

    from ..answer.people import footage_of

    faces = values["faces"]
    images = footage_of(path, min(values["options"]["frames"], state.limits.frames)).images
    frame = faces[0]["frame"] if faces and faces[0]["frame"] in images else next(iter(images))
    image = images[frame]
    shrink = min(1.0, PREVIEW / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
    shown = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink < 1 else image)
    for face in faces:
        if face["corners"] is None or face["frame"] != frame:
            continue
        corners = np.round(np.array(face["corners"]) * shrink).astype(np.int32)
        _outline(shown, corners, str(face["person"]))
    return Message({}, {"annotated.jpg": mozcodec.encode(shown, 90, profile="fastest")})


def _outline(image: Any, corners: Any, label: str) -> None:
    """Draw a square, white on black, and its number into *image*."""
    import cv2

    width = max(2, round(max(image.shape[:2]) / 400))
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(image.shape[:2]) / 900 + 0.3
    top = corners[corners[:, 1].argmin()]
    at = (int(corners[:, 0].min()) + 5 * width, int(max(top[1], 0) + 30 * scale + 4 * width))
    for colour, extra in (((0, 0, 0), 2 * width), ((255, 255, 255), 0)):
        cv2.polylines(image, [corners], True, colour, width + extra, cv2.LINE_AA)
        cv2.putText(image, label, at, font, scale, colour, width + extra, cv2.LINE_AA)


def _history(_state: State, _values: dict[str, Any], path: Path) -> Message:
    """Return the report of `mozcodec.forensics` on a JPEG."""
    import json

    from mozcodec import JpegError, forensics

    data = path.read_bytes()
    if not data.startswith(b"\xff\xd8"):
        raise Problem("no_history", "only JPEG files have a history that can be read from their bytes")
    try:
        return Message({}, {"history.json": json.dumps(forensics.report(data), allow_nan=False).encode()})
    except JpegError as error:
        raise Problem("no_history", f"the history cannot be read: {error}") from error


if __name__ == "__main__":
    main()
