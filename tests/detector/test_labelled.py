"""Archives with labels inside, as WebDataset reads them."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from detector.cli import cli
from detector.data.index import SPLITS, read_index
from detector.data.labelled import write_labelled
from detector.data.shards import ShardReader
from detector.errors import DataError
from tools.faults.sample import write_sample


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    write_sample(tmp_path / "faces")
    return tmp_path / "faces"


def samples(folder: Path) -> dict[str, dict[str, bytes]]:
    """Group the members of the archives as webdataset.tariterators.group_by_keys does: by the name up to its first dot
    after the last slash, of members that follow each other in one archive."""
    found: dict[str, dict[str, bytes]] = {}
    for path in [path for split in SPLITS for path in sorted(folder.glob(f"{split}-*.tar"))]:
        last = None
        with tarfile.open(path) as archive:
            for member in archive:
                place, _, base = member.name.rpartition("/")
                name, _, suffix = base.partition(".")
                key = f"{place}/{name}"
                assert key == last or key not in found
                last = key
                file = archive.extractfile(member)
                assert file is not None
                found.setdefault(key, {"split": path.name.partition("-")[0].encode()})[suffix] = file.read()
    return found


def test_every_crop_has_its_label_and_its_row(faces: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["unpack", str(faces), str(tmp_path / "out"), "--webdataset"])
    assert result.exit_code == 0, result.output
    rows, reader, found = read_index(faces), ShardReader(faces), samples(tmp_path / "out")
    assert list(found) == [face.key for split in SPLITS for face in rows if face.split == split]
    for face in rows:
        sample = found[face.key]
        assert set(sample) == {"split", "cls", "json", "png"}
        assert (sample["split"].decode(), int(sample["cls"])) == (face.split, face.label)
        assert sample["png"] == bytes(reader.read(face))
        described = json.loads(sample["json"])
        assert described["video"] == face.video
        assert described["identity"] == face.identity


def test_archives_are_small_reproducible_and_keep_a_crop_together(faces: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_labelled(faces, tmp_path / name, splits=["train"], max_bytes=60_000)
    paths = sorted((tmp_path / "one").iterdir())
    assert len(paths) > 2
    assert max(path.stat().st_size for path in paths) < 60_000 + 20_480
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in sorted((tmp_path / "two").iterdir())]
    assert len(samples(tmp_path / "one")) == 12
    with pytest.raises(DataError, match="there are archives already"):
        write_labelled(faces, tmp_path / "one")


def test_a_damaged_crop_is_left_out_and_listed(faces: Path, tmp_path: Path) -> None:
    victim = read_index(faces)[4]
    data = bytearray((faces / victim.shard).read_bytes())
    data[victim.offset] ^= 1
    (faces / victim.shard).write_bytes(data)
    options = ["unpack", str(faces), str(tmp_path / "out"), "--max-damaged", "0.1"]
    loose = CliRunner().invoke(cli, options)
    assert loose.exit_code == 2 and "--max-damaged is for --webdataset" in " ".join(loose.output.split())
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(cli, [*options, "--webdataset"])
    assert result.exit_code == 0 and "35 crops with labels" in result.output
    with (tmp_path / "out/damaged.csv").open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == [victim.key]
    with pytest.raises(DataError, match=f"{victim.key} is damaged"):
        write_labelled(faces, tmp_path / "other")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
def test_webdataset_reads_them(faces: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    write_labelled(faces, tmp_path / "out", splits=["val"])
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    read = list(webdataset.WebDataset(files, shardshuffle=False).decode().to_tuple("__key__", "cls"))
    assert read == [(face.key, face.label) for face in read_index(faces) if face.split == "val"]
