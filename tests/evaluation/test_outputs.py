"""What can be written to: refused before any work is done, with the path and the reason."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from evaluation.outputs import check_writable


def test_new_and_ordinary_paths_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new" / "file")
    check_writable(tmp_path, folder=True)
    for path in (tmp_path, tmp_path / "file", tmp_path / "new"):
        check_writable(path, folder=None)


def test_paths_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = [
        (tmp_path / "file" / "inner", False, NotADirectoryError, "file is not a folder"),
        (tmp_path / "link", True, FileNotFoundError, "is a link to a folder that is not there"),
        (tmp_path / "file", True, NotADirectoryError, "is not a folder; name a new folder"),
        (tmp_path, False, IsADirectoryError, "is a folder; name a file"),
        (tmp_path / "loop", False, OSError, "symbolic links"),
    ]
    for path, folder, kind, said in cases:
        with pytest.raises(kind, match=said):
            check_writable(path, folder=folder)


def test_pipes_and_devices_need_a_stack_and_pipes_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path has at most about 100 characters
    with socket.socket(socket.AF_UNIX) as bound, ExitStack() as stack:
        bound.bind("socket")
        with pytest.raises(OSError, match="is not a regular file; name another file"):
            check_writable(tmp_path / "pipe")
        with pytest.raises(OSError, match="is not a regular file; name another file"):
            check_writable(tmp_path / "socket", stack)
        with pytest.raises(OSError, match="is a named pipe that no process reads; start its reader first"):
            check_writable(tmp_path / "pipe", stack)
        check_writable(Path("/dev/null"), stack)


def test_a_pipe_that_is_read_is_kept_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with ExitStack() as stack:
            check_writable(tmp_path / "pipe", stack)
            with pytest.raises(BlockingIOError):  # no data yet, and no end
                os.read(reader, 1)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
