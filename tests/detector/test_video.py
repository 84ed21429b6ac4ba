"""Decoding: the selected frames, and damaged files, which lose frames but do not stop the run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st

from detector.data.video import Footage, evenly_spaced, length, per_second, read_frames
from detector.errors import DataError, ExhaustedError
from tools.sample.writer import X264_PARAMS

COUNT = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]) -> Path:
    """40 frames of noise whose mean brightness says which frame it is; one keyframe, as in FaceForensics++."""
    noise = np.random.default_rng(0).integers(-12, 13, (COUNT, 64, 96, 3))
    frames = [np.clip(40 + 4 * i + noise[i], 0, 255).astype(np.uint8) for i in range(COUNT)]
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames)


def which(image: np.ndarray) -> int:
    return round((float(image.mean()) - 40) / 4)


@given(st.integers(1, 2000), st.integers(1, 64))
def test_evenly_spaced_frames_are_deepfakebenchs(count: int, number: int) -> None:
    # preprocess.py, mode fixed_num_frames; duplicates (fewer frames than asked for) are dropped
    expected = np.unique(np.linspace(0, count - 1, number, endpoint=True, dtype=int))
    assert evenly_spaced(count, number) == expected.tolist()


@given(st.integers(1, 2000), st.floats(1, 120), st.floats(0.1, 120))
def test_frames_per_second_are_as_many_as_asked(count: int, rate: float, number: float) -> None:
    numbers = per_second(count, rate, number)
    assert numbers[0] == 0
    assert 0 <= min(numbers) <= max(numbers) < count
    assert len(numbers) == pytest.approx(min(count, count / rate * number), abs=1.01)


def test_frames_per_second_of_a_second() -> None:
    assert per_second(25, 25, 5) == [0, 5, 10, 15, 20]
    assert per_second(30, 29.97, 1) == [0]
    assert per_second(24, 25, 50) == list(range(24))


def test_the_frames_asked_for_come(clip: Path) -> None:
    frames = read_frames(clip, [39, 0, 17])
    assert frames.missing == {}
    assert {number: which(image) for number, image in frames.images.items()} == {0: 0, 17: 17, 39: 39}
    assert frames.images[0].shape == (64, 96, 3)
    assert frames.images[0].dtype == np.uint8


@pytest.mark.parametrize("keep_bytes", [0, 3 * 64 * 96 * 3, 1 << 20])
def test_footage_can_be_looped_over_whether_it_is_kept_or_decoded_again(clip: Path, keep_bytes: int) -> None:
    footage = Footage(clip, range(0, COUNT, 4), keep_bytes)
    first, second = dict(footage), dict(footage)
    assert list(first) == list(second) == list(range(0, COUNT, 4))
    assert all(np.array_equal(first[number], second[number]) for number in first)
    assert (first[0] is second[0]) == (keep_bytes == 1 << 20)


def test_colours_come_as_red_green_blue(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    red = np.full((64, 64, 3), (220, 30, 30), np.uint8)
    image = read_frames(write_video(tmp_path / "red.mp4", [red] * 3), [1]).images[1]
    assert np.abs(image.reshape(-1, 3).mean(axis=0) - (220, 30, 30)).max() < 4


def test_length_is_frames_and_rate(clip: Path, tmp_path: Path, write_video: Callable[..., Path]) -> None:
    assert length(clip) == (COUNT, 25.0)
    frames = [np.zeros((64, 64, 3), np.uint8)] * 7
    assert length(write_video(tmp_path / "a.mkv", frames, rate=30)) == (7, 30.0)  # Matroska says no number of frames


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_cut_video_gives_the_frames_before_the_cut(clip: Path, tmp_path: Path, share: float) -> None:
    data = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * share)])
    frames = read_frames(cut, range(COUNT))
    readable = len(frames.images)
    assert 0 < readable < COUNT
    assert [which(image) for image in frames.images.values()] == list(range(readable))
    assert list(frames.missing) == list(range(readable, COUNT))
    assert set(frames.missing.values()) == {
        f"video ends after {readable} readable frames (Invalid data found when processing input)"
    }


def test_frames_that_build_on_a_damaged_one_are_missing(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    damaged = bytearray(clip.read_bytes())
    position, size = max(packets[12:16], key=lambda packet: packet[1])  # a P-frame
    damaged[position + size // 2 : position + size] = b"\xff" * (size - size // 2)
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    frames = read_frames(tmp_path / "damaged.mp4", range(COUNT))
    whole = read_frames(clip, range(COUNT))
    readable = len(frames.images)
    assert 5 < readable < 20
    assert list(frames.images) == list(range(readable))
    assert all(np.array_equal(image, whole.images[number]) for number, image in frames.images.items())
    assert set(frames.missing.values()) == {"frame is damaged", "frame builds on a damaged one"}
    # a second look at the first damaged one, past the gate: it does differ
    with av.open(str(tmp_path / "damaged.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert not np.array_equal(pictures[readable], whole.images[readable])


def test_frames_shown_before_the_damaged_one_they_build_on_are_missing(tmp_path: Path) -> None:
    """I B B P B B P ...: the two B-frames before a damaged P-frame are decoded after it, and from it."""
    path, damaged = tmp_path / "whole.mp4", tmp_path / "damaged.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        params = f"{X264_PARAMS}:bframes=2:b-adapt=0:b-pyramid=0:ref=1:keyint=60:scenecut=0:threads=1"
        stream = container.add_stream("libx264", rate=25, options={"x264-params": params, "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for number in range(16):
            image = np.ascontiguousarray(noise[:, 2 * number : 2 * number + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        kinds = "".join(PictureType(frame.pict_type).name for frame in container.decode(video=0))
    assert kinds[:10] == "IBBPBBPBBP"
    with av.open(str(path)) as container:
        shown = sorted((packet.pts, packet.pos, packet.size) for packet in container.demux(video=0) if packet.size)
    data = bytearray(path.read_bytes())
    _, position, size = shown[6]
    data[position + size // 2 : position + size] = b"\xff" * (size - size // 2)
    damaged.write_bytes(data)
    whole, frames = read_frames(path, range(16)), read_frames(damaged, range(16))

    assert list(frames.images) == [0, 1, 2, 3]
    assert all(np.array_equal(image, whole.images[number]) for number, image in frames.images.items())
    builds = dict.fromkeys(range(4, 16), "frame builds on a damaged one")
    assert frames.missing == {**builds, 6: "frame is damaged"}
    assert list(read_frames(damaged, [2, 5]).images) == [2]  # the damage of 6 is seen though 5 is the last one wanted


@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(5000)])
def test_a_file_that_is_not_a_video_cannot_be_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for read in (length, lambda p: read_frames(p, [0])):
        with pytest.raises(DataError, match="video cannot be opened"):
            read(path)


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        length(tmp_path / "clip.mp4")


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match=r"no video stream in sound\.mp4"):
        length(path)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_machine_without_descriptors_or_memory_is_no_damaged_video(
    number: int, tmp_path: Path, write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [np.zeros((32, 32, 3), np.uint8)])

    def failing(_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("detector.data.video.av.open", failing)
        with pytest.raises(ExhaustedError, match=f"^{path}: {os.strerror(number)}: .*limit"):
            length(path)
    number = errno.EIO
    monkeypatch.setattr("detector.data.video.open_file", failing)
    with pytest.raises(DataError, match="video cannot be opened"):
        length(path)
