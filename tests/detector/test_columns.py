"""The columnar form of tables: the same rows and refusals as of the CSV files, and what damage does to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.conditions import parse_all
from detector.config import CompressConfig
from detector.data.compress import compress_faces
from detector.data.index import Face, read_index, write_index
from detector.errors import DataError
from detector.score import COLUMNS, KINDS, write_scores
from evaluation.scores import read
from evaluation.sums import SUMS, write_sums
from tools.faults.sample import write_sample


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder of crops whose index has both forms."""
    write_sample(tmp_path / "faces")
    rows = read_index(tmp_path / "faces")
    rows[3] = replace(rows[3], scale=1.25, border=0.0, turned=90, landmarks="frame", certainty=0.5)
    write_index(tmp_path / "faces/index.csv", rows, "parquet")
    return tmp_path / "faces"


def test_both_forms_of_an_index_have_the_same_rows(faces: Path) -> None:
    both = read_index(faces)
    shutil.rmtree(faces / "index.parquet")
    write_sums(faces)
    assert read_index(faces) == both
    assert {type(getattr(both[3], field.name)) for field in fields(Face)} == {str, int, float, type(None)}


def test_the_columnar_form_is_written_for_many_rows_or_on_request(
    faces: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = read_index(faces)
    write_index(faces / "index.csv", rows)
    assert not (faces / "index.parquet").exists()
    monkeypatch.setattr("detector.data.index.FROM_ROWS", len(rows))
    write_index(faces / "index.csv", rows)
    assert (faces / "index.parquet/part-000.parquet").is_file()
    compress_faces(faces, tmp_path / "jpeg", 77, CompressConfig(), workers=1, table="csv")
    assert not (tmp_path / "jpeg/index.parquet").exists()
    compress_faces(faces, tmp_path / "jpeg", 77, CompressConfig(), workers=1, table="parquet")
    assert (tmp_path / "jpeg/index.parquet").is_dir()
    assert [row.key for row in read_index(tmp_path / "jpeg")] == [row.key for row in rows if row.split != "test"]


def test_an_edited_csv_file_is_noticed(faces: Path) -> None:
    (faces / SUMS).unlink()
    path = faces / "index.csv"
    path.write_text(path.read_text().replace("Deepfakes/", "Deepfakez/"))
    with pytest.raises(DataError, match=r"index\.parquet: is not the columnar form of .*index\.csv, .*delete the fol"):
        read_index(faces)


def test_any_damage_to_a_part_is_an_error_that_names_it(faces: Path) -> None:
    path = faces / "index.parquet/part-000.parquet"
    whole = path.read_bytes()
    for position in np.linspace(0, len(whole) - 1, 60).astype(int).tolist():
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        for data in (bytes(flipped), whole[:position]):
            path.write_bytes(data)
            with pytest.raises(DataError, match=r"part-000\.parquet"):
                read_index(faces)
    path.unlink()
    with pytest.raises(DataError, match=r"index\.parquet"):
        read_index(faces)


def change(faces: Path, name: str, values: Callable[[list[object]], list[object]], kind: pa.DataType) -> None:
    """Replace a column of the columnar index, and its hashes."""
    path = faces / "index.parquet/part-000.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    new = pa.array(values(table.column(name).to_pylist()), kind)
    pq.write_table(table.set_column(place, name, new), path)
    write_sums(path.parent)
    write_sums(faces)


@pytest.mark.parametrize(
    ("column", "value", "kind", "message"),
    [
        ("label", 2, pa.int64(), "row 5: label must be 0..1, got 2"),
        ("label", 0.5, pa.float64(), "row 1: label must be a whole number"),
        ("label", "x", pa.string(), "row 5: label must be a whole number, got 'x'"),
        ("label", [1], pa.list_(pa.int64()), "label must be text or numbers"),
        ("frame", -1, pa.int64(), "row 5: frame must not be negative"),
        ("frame", None, pa.int64(), "row 5: frame must not be empty"),
        ("border", 1.5, pa.float64(), r"row 5: border must be 0\.\.1, got 1\.5"),
        ("border", float("nan"), pa.float64(), "border must be a number, got nan"),
        ("split", "dev", pa.string(), "row 5: split must be one of train, val, test"),
        ("video", "original/../../x", pa.string(), "row 5: video must be a relative name"),
        ("shard", "../a.tar", pa.string(), "row 5: shard must be the name of a .tar file"),
        ("key", "a", pa.string(), "row 5: a follows"),
    ],
)
def test_wrong_values_are_refused_as_in_csv(
    column: str, value: object, kind: pa.DataType, message: str, faces: Path
) -> None:
    def wrong(values: list[object]) -> list[object]:
        plain = [float(v) if pa.types.is_float64(kind) and isinstance(v, int) else v for v in values]
        if pa.types.is_string(kind):
            plain = [v if v is None else str(v) for v in values]
        if pa.types.is_list(kind):
            plain = [[v] for v in values]
        return [*plain[:4], value, *plain[5:]]

    change(faces, column, wrong, kind)
    with pytest.raises(DataError, match=message):
        read_index(faces)


def test_scores_in_both_forms_are_one_table(tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, conditions = [face for face in read_index(faces) if face.split != "train"], parse_all(["raw", "77"])
    scores = np.random.default_rng(0).random((len(index), 2))
    monkeypatch.setattr("detector.score.asdict", lambda _: {"weights_sha256": "0"})
    write_scores(tmp_path / "scores.csv", index, conditions, scores, None, table="parquet")  # type: ignore[arg-type]
    one, other = read(tmp_path / "scores.csv"), read(tmp_path / "scores.parquet")
    assert set(KINDS) == set(COLUMNS)
    assert one.source == other.source
    assert one.order == other.order
    assert one.score.tolist() == other.score.tolist() == scores.ravel().tolist()
    for name in COLUMNS[:-1]:
        assert np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name))), name
    write_scores(tmp_path / "scores.csv", index, conditions, scores, None)  # type: ignore[arg-type]
    assert not (tmp_path / "scores.parquet").exists()
