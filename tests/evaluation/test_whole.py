"""Files of one command appear all or none, whatever stops it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation import whole
from evaluation.cli import main
from evaluation.whole import whole_file, write_together


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def tree(folder):
    """Every path below *folder* with what a file holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


class FullDisk:
    """Lets *room* files be written; then writes fail as on a full disk, naming no file."""

    def __init__(self, monkeypatch, room):
        write, self.written = Path.write_bytes, 0

        def limited(path, data):
            if self.written == room:
                write(path, data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            self.written += 1
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", limited)


def commands(folder, sources, scores):
    """Each command that writes several files, by its name, without what it writes."""
    out = folder / "out"
    index = folder / "experiments.csv"
    rows = "".join(f"{name},abc,a,{scores},{name},77,1\n" for name in "ab")
    index.write_text(f"experiment,rev,tested_on,scores,model,quality,seed\n{rows}")
    return {
        "metrics": ["metrics", scores, out / "a/m.json", "--tables", out / "t", "--headline", out / "h.json"],
        "report": ["report", out / "page", *sources],
        "compare": ["compare", f"a={scores}", f"b={scores}", "--out", out / "page"],
        "seeds": ["seeds", f"a={scores},{scores}", "--out", out / "s.md", "--csv", out / "s.csv"],
        "grid": ["grid", index, "--out", out / "g.md", "--csv", out / "g.csv", "--figure", out / "g.png"],
    }


@pytest.mark.parametrize("name", ["metrics", "report", "compare", "seeds", "grid"])
def test_a_full_disk_leaves_the_earlier_files_of_a_command_or_none(name, sources, tmp_path, monkeypatch):
    command = commands(tmp_path, sources[:6], Path(sources[3]))[name]
    (tmp_path / "out").mkdir()
    before = tree(tmp_path)
    with monkeypatch.context() as limited:
        disk = FullDisk(limited, -1)
        assert run(*command).exit_code == 0
    after = tree(tmp_path)
    assert not [path for path in after if "evaluation-" in path]
    assert disk.written > 1
    for room in {1, disk.written - 1}:             # over the results of an earlier run, then without
        with monkeypatch.context() as limited:
            FullDisk(limited, room)
            found = run(*command, *(["--useful", "0.8"] if name == "report" else ["--confidence", "0.9"]))
        assert found.exit_code == 1
        assert re.search(f"^Error: {tmp_path / 'out'}/.*: No space left on device\n$", found.output, re.M)
        assert tree(tmp_path) == after
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").mkdir()
        after = before


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    write_together([(tmp_path / "out/a", "new"), (tmp_path / "out/deep/b", b"\0")])
    assert tree(tmp_path) == {
        "elsewhere": b"kept", "out": None, "out/notes.txt": b"mine", "out/a": b"new", "out/deep": None,
        "out/deep/b": b"\0",
    }  # fmt: skip


def test_a_rename_that_fails_puts_the_earlier_files_back(tmp_path):
    (tmp_path / "a").write_text("old a")
    (tmp_path / "gone").write_text("old table")
    (tmp_path / "folder").mkdir()
    before = tree(tmp_path)
    with pytest.raises(IsADirectoryError) as error:
        write_together([(tmp_path / "a", "1"), (tmp_path / "gone", None), (tmp_path / "b", "2"),
                        (tmp_path / "folder", "3")])  # fmt: skip
    assert error.value.filename == str(tmp_path / "folder")
    assert tree(tmp_path) == before
    write_together([(tmp_path / "a", "1"), (tmp_path / "gone", None), (tmp_path / "never", None)])
    assert tree(tmp_path) == {"a": b"1", "folder": None}


def test_nothing_appears_if_the_content_cannot_be_made(tmp_path):
    def files():
        yield tmp_path / "new/a", "1"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_together(files())
    assert tree(tmp_path) == {}


def test_permissions_follow_the_umask(tmp_path):
    for mask in (0o077, 0o002):
        earlier = os.umask(mask)
        try:
            write_together([(tmp_path / f"{mask:o}/a", "1")])
            with whole_file(tmp_path / f"{mask:o}/b") as part:
                part.write_text("1")
        finally:
            os.umask(earlier)
        assert {(tmp_path / f"{mask:o}" / name).stat().st_mode & 0o777 for name in "ab"} == {0o666 & ~mask}
        assert (tmp_path / f"{mask:o}").stat().st_mode & 0o777 == 0o777 & ~mask


WAITING = """
import sys, time
from evaluation.whole import write_together

def files():
    yield sys.argv[1], "new"
    print("written", flush=True)
    time.sleep(600)

write_together(files())
"""


def test_what_a_killed_process_has_left_is_removed_and_that_of_a_living_one_is_not(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    processes = [
        subprocess.Popen([sys.executable, "-c", WAITING, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "written\n"
        assert len([found for found in tmp_path.iterdir() if whole.LEFT.fullmatch(found.name)]) == 2
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        assert path.read_text() == "old"
        write_together([(path, "newer")])
        assert path.read_text() == "newer"
        assert len([found for found in tmp_path.iterdir() if whole.LEFT.fullmatch(found.name)]) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    write_together([(path, "newest")])
    assert tree(tmp_path) == {"a": b"newest"}


FEW = """
import os, resource, sys
from pathlib import Path
from evaluation.whole import write_together

folder = Path(sys.argv[1])
_, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
lowest = os.dup(0)
os.close(lowest)
failed = 0
for more in range(10):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, most))
    try:
        write_together([(folder / "a", str(more)), (folder / "b/c", str(more))])
    except OSError:
        failed += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(sorted(path.name for path in folder.rglob("*")))
print(failed)
"""


def test_few_descriptors_leave_nothing_behind(tmp_path):
    found = subprocess.run([sys.executable, "-c", FEW, str(tmp_path)], capture_output=True, text=True, check=True)
    *lists, failed = found.stdout.splitlines()
    assert set(lists) == {"[]", "['a', 'b', 'c']"}
    assert 0 < int(failed) < 10
