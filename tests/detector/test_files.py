"""Atomic writing of files and folders: what readers see during a write, and what is left after a kill."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.data.files import sha256, whole_file, whole_folder, write_json
from detector.errors import DataError, DetectorError


def fill(folder: Path, text: str) -> None:
    (folder / "index.csv").write_text(text)
    (folder / "crops.tar").write_text(text)


def held_by(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_is_replaced_when_the_block_ends(tmp_path):
    for text in ("first", "second"):
        with whole_folder(tmp_path / "out", "index.csv") as folder:
            fill(folder, text)
    assert held_by(tmp_path) == {"out/crops.tar": "second", "out/index.csv": "second"}


def test_an_error_leaves_the_former_folder(tmp_path):
    with whole_folder(tmp_path / "out", "index.csv") as folder:
        fill(folder, "first")
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out", "index.csv") as folder:
        fill(folder, "second")
        1 / 0  # noqa: B018
    assert held_by(tmp_path) == {"out/crops.tar": "first", "out/index.csv": "first"}


@pytest.mark.parametrize("killed_at", ["rmtree", "first rename", "second rename"])
def test_a_kill_at_any_moment_of_the_replacement_loses_nothing_and_blocks_nothing(tmp_path, killed_at):
    with whole_folder(tmp_path / "out", "index.csv") as folder:
        fill(folder, "first")
    script = f"""
import os, pathlib, shutil
from detector.data.files import whole_folder
count = 0
def die(*a, **k): os._exit(9)
real = pathlib.Path.replace
def replace(self, target):
    global count
    count += 1
    if count == {["first rename", "second rename", "rmtree"].index(killed_at) + 1}: die()
    return real(self, target)
with whole_folder({str(tmp_path / "out")!r}, "index.csv") as folder:
    for name in ("index.csv", "crops.tar"):
        (folder / name).write_text("second")
    pathlib.Path.replace = replace
    if {killed_at == "rmtree"}: shutil.rmtree = die
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    expected = "second" if killed_at == "rmtree" else "first"
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out", "index.csv"):
        1 / 0  # noqa: B018
    assert held_by(tmp_path) == {"out/crops.tar": expected, "out/index.csv": expected}


def test_a_second_writer_of_a_folder_waits_for_the_first(tmp_path, capsys):
    def write() -> None:
        with whole_folder(tmp_path / "out", "index.csv") as folder:
            assert (tmp_path / "out/index.csv").read_text() == "first"
            fill(folder, "second")

    second = threading.Thread(target=write)
    with whole_folder(tmp_path / "out", "index.csv") as folder:
        second.start()
        fill(folder, "first")
        said = ""
        while "waiting until it is done" not in said:
            time.sleep(0.01)
            said += capsys.readouterr().err
        assert held_by(folder) == {"crops.tar": "first", "index.csv": "first"}
    second.join()
    assert held_by(tmp_path) == {"out/crops.tar": "second", "out/index.csv": "second"}
    assert f"process {os.getpid()} is writing {tmp_path / 'out'}; waiting until it is done" in said


def test_a_writer_that_lost_its_lock_leaves_the_folder_of_the_other(tmp_path):
    """Suspended for longer than its lease, as another machine saw it."""
    message = "taken over this lock"
    with pytest.raises(DetectorError, match=message), whole_folder(tmp_path / "out", "index.csv") as late:
        fill(late, "late")
        (tmp_path / ".out.lock").unlink()  # what the other machine does; a file in its place follows
        with whole_folder(tmp_path / "out", "index.csv") as folder:
            assert not late.exists()
            fill(folder, "other")
    assert held_by(tmp_path) == {"out/crops.tar": "other", "out/index.csv": "other"}


def test_leftovers_of_any_process_are_removed_but_no_other_names(tmp_path):
    others = (".a.b.0badcafe.part", ".a.7777777.x.part", ".a.part.txt", "a.0badcafe.part")
    for name in (".a.part", ".a.0badcafe.part", *others):
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "a", "index.csv") as folder:
        fill(folder, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", *others])


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with whole_folder(tmp_path / "out", "index.csv") as folder:
            (folder / "index.csv").write_text("")
            write_json(folder / "summary.json", {})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes == {"index.csv": 0o666 & ~umask, "summary.json": 0o666 & ~umask}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777 & ~umask


def test_outputs_whose_names_begin_alike_do_not_touch_each_other(tmp_path):
    with whole_folder(tmp_path / "a.b", "index.csv") as longer:
        with whole_folder(tmp_path / "a", "index.csv") as shorter:
            fill(shorter, "a")
        fill(longer, "a.b")
    assert {name: text for name, text in held_by(tmp_path).items() if "index" in name} == {
        "a/index.csv": "a",
        "a.b/index.csv": "a.b",
    }


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    message = r"holds other files and no index\.csv"
    with pytest.raises(DataError, match=message), whole_folder(tmp_path / "out", "index.csv"):
        pytest.fail("it would be replaced")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match="is a file"), whole_folder(tmp_path / "out", "index.csv"):
        pytest.fail("it would be replaced")


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_the_former_or_the_new_one(tmp_path, sync):
    path = tmp_path / "scores.csv"
    path.write_text("first")
    with pytest.raises(ZeroDivisionError), whole_file(path, sync=sync) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert held_by(tmp_path) == {"scores.csv": "first"}
    with whole_file(path, sync=sync) as part:
        part.write_text("second")
        assert path.read_text() == "first"
    assert held_by(tmp_path) == {"scores.csv": "second"}
    assert path.stat().st_mode & 0o777 == 0o644


def test_sha256_is_that_of_the_bytes_in_a_row(tmp_path):
    parts = [b"", b"a" * ((1 << 20) + 1), b"b"]
    paths = [tmp_path / str(number) for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    assert sha256(*paths) == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*out'"), whole_folder(tmp_path / "out", "index.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write raises it, without a name
    assert list(tmp_path.iterdir()) == []
