"""Hashes of written files: sha256sum agrees, and a reader notices every changed bit."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evaluation.files import FileError, read_csv, read_json
from evaluation.sums import KEY, SUMS, Changed, check_content, check_file, sealed, update_sums, write_sums


@dataclass(frozen=True)
class Row:
    name: str
    value: float


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("name,value\nx,1\ny,2\n")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a b.png").write_bytes(bytes(range(99)))
    (tmp_path / "faces-000.tar").write_bytes(b"archive")
    write_sums(tmp_path)
    return tmp_path


def test_sha256sum_checks_every_file_but_archives(folder: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a.csv: OK", "maps/a b.png: OK"]


def test_every_flipped_bit_of_a_table_or_of_its_hash_is_noticed_or_changes_nothing(folder: Path) -> None:
    expected = read_csv(folder / "a.csv", Row)
    for name in ("a.csv", SUMS):
        whole = (folder / name).read_bytes()
        for bit in range(8 * len(whole)):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(changed)
            try:
                assert read_csv(folder / "a.csv", Row) == expected
                assert name == SUMS, bit
            except FileError as error:
                assert name in str(error)
        (folder / name).write_bytes(whole)


def test_an_edited_table_is_refused_with_the_way_out_and_read_after_it(folder: Path) -> None:
    (folder / "a.csv").write_text("name,value\nx,3\n")
    with pytest.raises(FileError, match=rf"a\.csv: its SHA-256 is .* delete {folder / SUMS} if you edited it"):
        read_csv(folder / "a.csv", Row)
    (folder / SUMS).unlink()
    assert read_csv(folder / "a.csv", Row) == [Row("x", 3)]


def test_a_file_that_is_not_listed_is_read(folder: Path) -> None:
    (folder / "mine.csv").write_text("name,value\nx,3\n")
    assert read_csv(folder / "mine.csv", Row) == [Row("x", 3)]


def test_files_in_folders_below_are_looked_up_in_the_folder_given(folder: Path) -> None:
    path = folder / "maps" / "a b.png"
    check_file(path, path.read_bytes(), folder)
    with pytest.raises(Changed, match=r"a b\.png"):
        check_file(path, b"other", folder)


def test_a_program_that_rewrites_a_file_updates_its_hash(folder: Path) -> None:
    (folder / "a.csv").write_text("name,value\nx,3\n")
    update_sums(folder / "a.csv")
    assert read_csv(folder / "a.csv", Row) == [Row("x", 3)]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_hashes_that_are_no_file_are_refused(folder: Path, kind: str) -> None:
    (folder / SUMS).unlink()
    os.mkfifo(folder / SUMS) if kind == "pipe" else (folder / SUMS).mkdir()
    with pytest.raises(FileError, match=rf"{SUMS}: is not a regular file"):
        read_csv(folder / "a.csv", Row)


def test_a_sealed_object_is_noticed_when_any_value_changes(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": 1, "b": {"c": [1.5, None, "é"]}, "d": ()}
    stored = json.loads(json.dumps(sealed(content)))
    assert check_content("x.json", stored) == {"a": 1, "b": {"c": [1.5, None, "é"]}, "d": []}
    for changed in ({**stored, "a": 2}, {**stored, "b": {}}, {**stored, "e": 0}, {**stored, KEY: None}):
        (tmp_path / "x.json").write_text(json.dumps(changed))
        with pytest.raises(FileError, match=rf"x\.json: the SHA-256 .* remove the key {KEY} if you edited it"):
            read_json(tmp_path / "x.json", dict[str, Any])
