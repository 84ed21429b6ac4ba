"""Only regular files are read."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.data.files import sha256
from detector.data.pictures import kind_of, read_image
from detector.data.video import length
from detector.errors import DataError, ExhaustedError
from detector.reading import open_file, read_bytes
from detector.schema import read_json, read_text


@pytest.fixture(params=["pipe", "socket", "device", "link"])
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "special.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        monkeypatch.chdir(tmp_path)  # names of sockets have at most 107 bytes
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("read", [open_file, read_bytes, read_text, read_json, sha256, read_image, length])
def test_pipes_sockets_and_devices_are_refused_at_once(special: Path, read: object) -> None:
    with pytest.raises(DataError, match=r"special\.png: is a (named pipe|socket|device), not a regular file; name a"):
        read(special)  # type: ignore[operator]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("read", [open_file, read_bytes, read_text, read_json, sha256, read_image, length, kind_of])
def test_a_machine_without_descriptors_or_memory_is_named_with_the_remedy(
    read: object, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"{}")

    def failing(name: object, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(name))

    monkeypatch.setattr("detector.reading.os.open", failing)
    with pytest.raises(ExhaustedError, match=rf"a\.png: {os.strerror(number)}: .*(limit|memory)"):
        read(path)  # type: ignore[operator]


def test_the_kind_of_a_pipe_is_told_by_its_name(special: Path) -> None:
    assert kind_of(special) == "image"


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="has more than 8589934592 bytes, too many to be read as a whole"):
        read_bytes(path)


def test_a_folder_is_no_file(tmp_path: Path, descriptors_below: Callable[[Path], int]) -> None:
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        open_file(tmp_path)
    assert descriptors_below(tmp_path) == 0
