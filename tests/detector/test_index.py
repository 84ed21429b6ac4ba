"""The table of faces: written, read, and refused with file, line and reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.index import Face, read_index, write_index, write_rows
from detector.errors import DataError

REAL = Face(
    key="c23/original/000/0000",
    video="original/000",
    compression="c23",
    frame=0,
    method="original",
    identity="000",
    pair="000_001",
    split="train",
    label=0,
    shard="faces-000.tar",
    offset=512,
    size=9,
    crc32="0badcafe",
)
FAKE = replace(
    REAL,
    key="c23/Deepfakes/000_001/0003",
    video="Deepfakes/000_001",
    frame=3,
    method="Deepfakes",
    identity="000+001",
    label=1,
)
OTHER = replace(REAL, key="c23/original/002/0000", video="original/002", identity="002", pair="002_003", split="test")


def test_the_file_reads_as_the_plan_says(tmp_path: Path) -> None:
    write_index(tmp_path / "index.csv", [REAL, FAKE])
    assert (tmp_path / "index.csv").read_text() == (
        "key,video,compression,frame,method,identity,pair,split,label,shard,offset,size,crc32,face,border,scale,shrink,roll,turned,"
        "landmarks,certainty\n"
        "c23/Deepfakes/000_001/0003,Deepfakes/000_001,c23,3,Deepfakes,000+001,000_001,train,1,faces-000.tar,512,9,"
        "0badcafe,0,,,,,,,\n"
        "c23/original/000/0000,original/000,c23,0,original,000,000_001,train,0,faces-000.tar,512,9,0badcafe,0,,,,,,,\n"
    )


def test_a_folder_stands_for_its_index(tmp_path: Path) -> None:
    write_index(tmp_path / "index.csv", [OTHER, REAL])
    assert read_index(tmp_path) == read_index(tmp_path / "index.csv") == [REAL, OTHER]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda key, crc, n: replace(REAL, key=key, crc32=f"{crc:08x}", offset=n, size=n),
            st.from_regex(r"[abc019_,\"'äß]{1,12}(/[abc019_,\"'äß ]{1,12}){0,2}", fullmatch=True),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**40),
        ),
        unique_by=lambda face: face.key,
    )
)
def test_any_index_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, faces: list[Face]) -> None:
    path = tmp_path_factory.mktemp("index") / "index.csv"
    write_index(path, faces)
    assert read_index(path) == sorted(faces, key=lambda face: face.key)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frame,", "", "expected the columns key, video"),
        ("c23,3,", "c23,three,", "line 2: frame must be a whole number, got 'three'"),
        ("c23,3,", "c23,-3,", "line 2: frame must not be negative"),
        (",512,9,0badcafe", ",512,9", "line 2: expected 21 values, got 20"),
        ("Deepfakes/000_001,c23", ",c23", "line 2: video must not be empty"),
        ("train", "training", "line 2: split must be one of train, val, test, got 'training'"),
        ("000_001,train,1", "000_001,train,0", "line 2: label 0 does not fit method 'Deepfakes'"),
        ("c23/original/002/0000,", "c23/original/000/0000,", "line 4: c23/original/000/0000 occurs twice"),
        ("c23/original/002/0000,", "c23/a,", "line 4: c23/a follows c23/original/000/0000: rows must be sorted by key"),
        (
            "c23/original/002/0000,",
            f"c23/original/{'x' * 200}/0,",
            f"line 4: c23/original/{'x' * 47}... has 219 bytes, too many for the tar format; shorten the key",
        ),
        ("Deepfakes/000_001,c23", f"Deepfakes/{'x' * 256},c23", "line 2: video must be a relative name without empty"),
        (",002,002_003,test", ",001,002_003,test", "identity 001 is in split train (Deepfakes/000_001) and in test"),
    ],
)
def test_reading_names_the_line_and_the_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "index.csv"
    write_index(path, [REAL, FAKE, OTHER])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as error:
        read_index(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_index_is_reported_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.csv: no such file"):
        read_index(tmp_path)


def test_an_index_that_shares_persons_between_splits_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="identity 000 is in split"):
        write_index(tmp_path / "index.csv", [REAL, replace(OTHER, identity="000")])
    assert list(tmp_path.iterdir()) == []


def test_nan_is_an_empty_cell(tmp_path: Path) -> None:
    """The readers of `evaluation` take an empty cell as undefined and refuse the text nan."""

    @dataclass(frozen=True)
    class Interval:
        name: str
        low: float

    write_rows(tmp_path / "a.csv", Interval, [Interval("x", float("nan")), Interval("y", 0.5)])
    assert (tmp_path / "a.csv").read_text() == "name,low\nx,\ny,0.5\n"
