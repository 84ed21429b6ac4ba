"""Sharded columnar tables: the rows that were written, as scores too, and an error for every damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation import columnar
from evaluation.files import FileError, sha256
from evaluation.scores import read
from evaluation.sums import SUMS, Changed, write_sums


def test_text_is_dictionary_coded_and_large_tables_have_several_parts(tmp_path: Path) -> None:
    rows = [(f"k{n:04}", "a" if n % 3 else "b", None if n == 5 else n, n / 7) for n in range(1000)]
    columns = {"key": "name", "method": "text", "frame": "int", "score": "float"}
    folder = columnar.write(tmp_path / "t.csv", columns, rows, "0" * 64, rows_a_part=300)
    assert [path.name for path in columnar.parts(folder)] == [f"part-{n:03}.parquet" for n in range(4)]
    assert pa.types.is_dictionary(columnar.schema(folder).field("method").type)
    found = [row for batch in columnar.iterate(folder) for row in zip(*(c.to_pylist() for c in batch), strict=True)]
    assert found == rows


def test_parts_that_are_missing_or_of_another_table_are_noticed(tmp_path: Path) -> None:
    one, other = (
        columnar.write(tmp_path / f"{name}.csv", {"key": "name"}, [(f"{name}{n}",) for n in range(5)], name * 64,
                       rows_a_part=2)
        for name in "ab"
    )  # fmt: skip
    assert columnar.of_csv(one) == "a" * 64
    shutil.copy(other / "part-001.parquet", one / "part-001.parquet")
    write_sums(one)
    with pytest.raises(Changed, match=r"a\.parquet: its parts are not of one table; write the table again"):
        columnar.of_csv(one)
    (other / "part-002.parquet").unlink()
    with pytest.raises(Changed, match=r"b\.parquet: has 2 parts, files\.sha256 lists 3; write the table again"):
        list(columnar.iterate(other))
    write_sums(other)
    shutil.move(other / "part-000.parquet", other / "part-002.parquet")
    with pytest.raises(Changed, match=r"b\.parquet|files\.sha256"):
        columnar.parts(other)


def test_scores_in_parts_are_those_of_the_csv_file(tmp_path, rows_of, write_scores):
    rows = rows_of()
    csv = write_scores(rows=rows)
    kinds = {name: "int" if name == "label" else "float" if name == "score" else "text" for name in rows[0]}
    convert = {"int": int, "float": float, "text": str}
    values = [tuple(convert[kinds[name]](row[name]) for name in kinds) for row in rows]
    folder = columnar.write(tmp_path / "other.csv", kinds, values, sha256(csv), rows_a_part=len(rows) // 3 + 1)
    assert len(columnar.parts(folder)) == 3
    found, expected = read(folder), read(csv)
    for column in ("key", "video", "method", "pair", "condition", "frame", "label", "score"):
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()


def table(folder: Path) -> Path:
    return columnar.write(
        folder / "t.csv", {"label": "int", "score": "float"}, [(n % 2, n / 7) for n in range(6)], "0" * 64
    )


def test_a_table_without_rows_has_one_part_and_an_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    folder = columnar.write(tmp_path / "t.csv", {"score": "float"}, [], "0" * 64, folder=tmp_path / "given")
    assert folder == tmp_path / "given"
    assert [path.name for path in columnar.parts(folder)] == ["part-000.parquet"]
    assert sum(len(batch) for batch in columnar.iterate(folder)) == 0


def test_other_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a folder without part-000\.parquet: not a columnar table"):
        read(tmp_path)
    folder = table(tmp_path)
    (folder / SUMS).unlink()
    with pytest.raises(FileError, match=r"files\.sha256: no such file; write the table again"):
        read(folder)


def test_a_part_of_another_form_is_named_although_its_hash_is_right(tmp_path: Path) -> None:
    folder = table(tmp_path)
    part = folder / "part-000.parquet"
    whole = part.read_bytes()
    part.write_bytes(b"no Parquet")
    write_sums(folder)
    with pytest.raises(FileError, match=r"part-000\.parquet: not readable as Parquet: .*; write the table again"):
        read(folder)
    with pytest.raises(Changed, match=r"part-000\.parquet: not readable as Parquet"):
        list(columnar.iterate(folder))
    part.write_bytes(whole)
    nested = pq.read_table(part).set_column(1, "score", pa.array([[0.5]] * 6))
    pq.write_table(nested, part)
    write_sums(folder)
    with pytest.raises(FileError, match=r"column score: holds list<.*>; write text or numbers"):
        read(folder)


def test_a_part_that_was_changed_is_named(tmp_path: Path) -> None:
    folder = table(tmp_path)
    with (folder / "part-000.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileError, match=r"part-000\.parquet"):
        read(folder)
