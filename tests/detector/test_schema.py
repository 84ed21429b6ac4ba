"""The schema reader: any file is either read or refused with an error that names it; no content crashes the process."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detector.card import Card, Threshold, Thresholds, as_json, read_card
from detector.config import read_params
from detector.data.deepfakebench import read_deepfakebench
from detector.data.folders import read_manifest
from detector.data.index import read_index, read_masks
from detector.data.layout import read_actors, read_splits
from detector.data.shards import ShardReader
from detector.data.summary import describe_data, read_summary
from detector.errors import ConfigError, DataError, DetectorError
from detector.experiments import Locked, read_record
from detector.experiments import read_index as read_experiments
from detector.keras import read_keras
from detector.models import build
from detector.models.pretrained import read_weights
from detector.schema import Mismatch, Rules, among, in_range, matching, number, parse
from detector.training.checkpoint import Checkpoints
from detector.training.trainer import State
from detector.weights import load_model, save_model

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")

DEEP = 100_000
# values that stand in turn at every place of a JSON file
WRONG = (None, True, 5, -1, 0.5, 10**400, "x", "", "\0", "../../x", [], [1], {}, {"x": 1})
# texts in their place: numbers that JSON does not have, beyond what a float or Python's int() takes; half a character
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', "[" * DEEP, '{"a":' * DEEP)
GARBAGE = (b"", b"\0", b"\xff\xfe", b"\x80abc", b"\x89PNG\r\n\x1a\n" + bytes(64), b"PK\x03\x04", bytes(range(256)))


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of keys of every value inside *value*, its own included."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*here, key))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of *value* with *new* at *place*; without the place where *new* is ``REMOVED``."""
    if not place:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if new is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return value


REMOVED = object()


@dataclass
class Case:
    """A file of a kind: how it is written into a folder, and how it is read from there."""

    name: str
    content: Any  # plain values for JSON, text for the others
    read: Callable[[Path], Any]
    error: type[DetectorError] = DataError
    files: dict[str, str] = field(default_factory=dict)  # that must lie beside it


INDEX = (
    "key,video,compression,frame,method,identity,pair,split,label,shard,offset,size,crc32\n"
    "c23/Deepfakes/000_001/0000,Deepfakes/000_001,c23,0,Deepfakes,000+001,000_001,train,1,faces-000.tar,512,9,0a1b2c3d\n"
    'c23/original/000/0000,original/000,c23,0,original,000,000_001,train,0,faces-000.tar,1536,9,0a1b2c3d\n'
)
SUMMARY = {
    "dataset": {"name": "n", "synthetic": True, "note": None},
    "parameters": {"size": 128, "methods": ["Deepfakes"]},
    "identities": {"train": 2},
    "videos": {"original": {"train": 2}},
    "faces": {"original": {"train": 2}},
    "compress": {"quality": 77, "subsampling": None, "tune": None, "bytes": 9, "encoder": {"mozjpeg_version": "5.0.0"}},
}
LEVEL = Threshold(0.5, 1, 1)
CARD = as_json(
    Card("meso4", {"dropout": 0.1}, 32, 32, thresholds={"77": Thresholds(LEVEL, LEVEL)}, inputs={"a": "0" * 64})
)
VIDEO = {"label": "D_real", "frames": ["a/0.png"], "masks": []}
BENCH = {"D": {"D_real": {"train": {"c23": {"000": VIDEO}}}}, "root": "."}
MANIFEST = "path,label,identity\na.png,real,ann\nb.png,fake,ben\n"
EXPERIMENTS = "experiment,rev,tested_on,scores,model\na,abc,a,a.csv,meso4\n"
LOCK = "stages:\n  train:\n    params:\n      params.yaml: {seed: 1}\n    outs:\n    - {path: out/train, md5: ab.dir}\n"


def lock_of(folder: Path) -> Any:
    path = folder / "dvc.lock"
    try:
        content = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8") from None  # git show's output is text already
    return read_record(content, str(path), Locked)


CASES = {
    case.name: case
    for case in (
        Case("params.yaml", (ROOT / "params.yaml").read_text(), lambda f: read_params(f / "params.yaml"), ConfigError),
        Case("index.csv", INDEX, read_index),
        Case("masks.csv", "key,shard,offset,size,crc32\na/b,masks-000.tar,512,9,0a1b2c3d\n", read_masks),
        Case("summary.json", SUMMARY, read_summary),
        Case("dataset.json", SUMMARY["dataset"], describe_data),
        Case("model.json", CARD, read_card),
        Case("train.json", [["000", "001"]], read_splits, files={"val.json": "[]", "test.json": "[]"}),
        Case("actors.json", {"train": ["01"], "test": ["02"]}, lambda f: read_actors(f / "actors.json")),
        Case("D.json", BENCH, lambda f: read_deepfakebench(f / "D.json")),
        Case("manifest.csv", MANIFEST, lambda f: read_manifest(f / "manifest.csv"), files={"a.png": "", "b.png": ""}),
        Case("experiments.csv", EXPERIMENTS, lambda f: read_experiments(f / "experiments.csv")),
        Case("dvc.lock", LOCK, lock_of),
    )
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    return path


def text_of(case: Case) -> str:
    return case.content if isinstance(case.content, str) else json.dumps(case.content)


def attempt(case: Case, folder: Path, data: bytes) -> Any:
    """Return what is read from *data*, or the message of its refusal, which must name the file."""
    for name, content in case.files.items():
        (folder / name).write_text(content)
    (folder / case.name).write_bytes(data)
    try:
        return case.read(folder)
    except case.error as error:
        assert str(folder) in str(error), str(error)
        assert len(str(error)) < 2000
        str(error).encode()  # it can be printed
        return str(error)


@pytest.mark.parametrize("name", CASES)
def test_the_example_of_each_file_is_read(name: str, folder: Path) -> None:
    found = attempt(CASES[name], folder, text_of(CASES[name]).encode())
    assert not isinstance(found, str), found


@pytest.mark.parametrize("name", CASES)
def test_a_byte_order_mark_is_skipped(name: str, folder: Path) -> None:
    if name == "dvc.lock":
        pytest.skip("comes from git as text")
    case = CASES[name]
    data = text_of(case).encode()
    assert attempt(case, folder, b"\xef\xbb\xbf" + data) == attempt(case, folder, data)


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_ends_anywhere_is_read_or_refused_by_name(name: str, folder: Path) -> None:
    case, data = CASES[name], text_of(CASES[name]).encode()
    for end in sorted({*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 6, len(data))}):
        attempt(case, folder, data[:end])


@pytest.mark.parametrize("name", CASES)
def test_any_bytes_are_read_or_refused_by_name(name: str, folder: Path) -> None:
    case, data = CASES[name], text_of(CASES[name]).encode()
    for garbage in GARBAGE:
        attempt(case, folder, garbage)
        attempt(case, folder, data[: len(data) // 2] + garbage + data[len(data) // 2 :])
    rng = random.Random(name)
    for _ in range(60):  # single bytes changed
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        attempt(case, folder, bytes(broken))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not isinstance(case.content, str)])
def test_any_value_at_any_place_is_read_or_refused_by_name(name: str, folder: Path) -> None:
    case = CASES[name]
    for place in places(case.content):
        for wrong in WRONG:
            attempt(case, folder, json.dumps(changed(case.content, place, wrong)).encode())
        for raw in RAW:
            text = json.dumps(changed(case.content, place, "@@")).replace('"@@"', raw)
            found = attempt(case, folder, text.encode())
            assert isinstance(found, str) or raw[0] in "9\""  # those may stand where nothing is read
        if place:
            attempt(case, folder, json.dumps(changed(case.content, place, REMOVED)).encode())


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(".csv")])
def test_any_value_in_any_cell_is_read_or_refused_by_name(name: str, folder: Path) -> None:
    case = CASES[name]
    lines = [line.split(",") for line in text_of(case).splitlines()]
    cells = ["", "-1", "1.5", "x", "9" * 5000, "1_0", " 1", "\u0661", '"', '"a', "a\nb", "\0", "../x", "/etc/x", "a//b"]
    for i, j in ((i, j) for i in range(len(lines)) for j in range(len(lines[0]))):
        for cell in cells:
            broken = [list(line) for line in lines]
            broken[i][j] = cell
            attempt(case, folder, "\n".join(map(",".join, broken)).encode())


@pytest.mark.parametrize(
    "text",
    [
        "train: " + "[" * DEEP,
        "train: " + "{a: " * 3000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{f'*{a},' * 9}]\n" for a, b in pairwise("abcdefgh")),
        "seed: .nan",
        "seed: .inf",
        "seed: " + "9" * 5000,
        "seed: 2001-99-99",
        "? [1, 2]\n: 3",
        "? {a: 1}\n: 3",
        "seed: !!python/object:os.system x",
        "seed: !!binary =",
        "seed: 1\nseed: 2",
        "<<: 5",
        "*a",
        "%YAML 9.9\n---\nseed: 1",
        "---\nseed: 1\n---\nseed: 2",
    ],
)
def test_yaml_that_is_not_a_parameter_file_is_refused_by_name(text: str, folder: Path) -> None:
    found = attempt(CASES["params.yaml"], folder, text.encode())
    assert isinstance(found, str)


def test_names_in_an_index_stay_inside_the_folder(folder: Path) -> None:
    """A key becomes a path when crops are unpacked, a shard is opened below the index's folder."""
    case = CASES["index.csv"]
    for old, new, words in (
        ("faces-000.tar,512", "../faces-000.tar,512", "shard must be the name of a .tar file"),
        ("faces-000.tar,512", "/etc/passwd,512", "shard must be the name of a .tar file"),
        ("c23/Deepfakes/000_001/0000", "c23/../../0000", "key must be a relative name"),
        (",Deepfakes/000_001,", ",Deepfakes/../../x,", "video must be a relative name"),
        ("0a1b2c3d\nc23/o", "0A1B2C3D\nc23/o", "crc32 must be eight hex digits"),
        (",train,1,", ",training,1,", "split must be one of train, val, test"),
        (",train,1,", ",train,2,", "label must be 0..1"),
    ):
        found = attempt(case, folder, INDEX.replace(old, new, 1).encode())
        assert isinstance(found, str), new
        assert "index.csv: line 2: " in found, found
        assert words in found, found


def test_slots_beyond_their_archive_are_refused(folder: Path) -> None:
    (folder / "faces-000.tar").write_bytes(bytes(1024))
    (folder / "index.csv").write_text(INDEX.replace(",512,9,", f",{10**17},{10**17},"))
    face = read_index(folder)[0]
    with pytest.raises(DataError, match=r"faces-000\.tar: ends at byte 1024, before the end of"):
        ShardReader(folder).read(face)


# -- weights and checkpoints, whose sums are right ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_model(folder, build("meso4").state_dict(), Card("meso4", {}, 32, 32))
    return folder


def test_weights_of_any_content_are_refused_by_name(weights: Path, tmp_path: Path) -> None:
    whole = (weights / "weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    contents = [*GARBAGE, whole[:4], whole[:header], whole[: len(whole) // 2]]
    contents += [(10**15).to_bytes(8, "little") + whole[8:], whole[:8] + b"x" + whole[9:]]
    contents.append((tmp_path / "other").read_bytes())
    for content in contents:
        shutil.copytree(weights, tmp_path / "copy", dirs_exist_ok=True)
        (tmp_path / "copy" / "weights.safetensors").write_bytes(content)
        card = json.loads((tmp_path / "copy" / "model.json").read_text())
        card["weights_sha256"] = hashlib.sha256(content).hexdigest()
        (tmp_path / "copy" / "model.json").write_text(json.dumps(card))
        with pytest.raises(DataError, match=str(tmp_path / "copy")):
            load_model(tmp_path / "copy", CPU)


WRONG_OPTIONS = ({"dropout": "x"}, {"dropout": None}, {"mean": []}, {"conv_activation": 5}, {"x": 1})


@pytest.mark.parametrize("options", WRONG_OPTIONS)
def test_options_of_any_kind_are_refused_by_name(weights: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    shutil.copytree(weights, tmp_path / "copy")
    card = json.loads((tmp_path / "copy" / "model.json").read_text())
    (tmp_path / "copy" / "model.json").write_text(json.dumps({**card, "options": options}))
    try:
        load_model(tmp_path / "copy", CPU)
    except DataError as error:
        assert str(tmp_path / "copy") in str(error)


def test_weights_to_start_from_of_any_content_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"x.{suffix}"
        for content in (*GARBAGE, whole[: len(whole) // 2], whole[:-1] + b"x", b"\x80\x02K\x05."):
            path.write_bytes(content)
            try:
                read_weights(path)
            except DetectorError as error:
                assert str(path) in str(error)


def test_keras_files_of_any_content_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a"])
        file.create_group("a").attrs["weight_names"] = np.array([b"w"])
        file["a"]["w"] = np.zeros(3)
    whole = path.read_bytes()
    contents: list[bytes] = [*GARBAGE, whole[:100], whole[: len(whole) // 2]]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(DataError, match=str(path)):
            read_keras(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = 5
    with pytest.raises(DataError, match=str(path)):
        read_keras(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a"])
        file["a"] = np.zeros(3)  # an array where a group should be
    with pytest.raises(DataError, match=str(path)):
        read_keras(path)


def test_a_checkpoint_of_any_content_is_reported_and_skipped(tmp_path: Path) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, 2, said.append, State)
    path = tmp_path / "step-00000003.pt"
    torch.save({"step": 3}, tmp_path / "no state")
    torch.save([1], tmp_path / "list")
    contents = [*GARBAGE, (tmp_path / "no state").read_bytes(), (tmp_path / "list").read_bytes(), b"\x80\x02K\x05."]
    for content in contents:
        path.write_bytes(content)
        path.with_name(path.name + ".sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
        assert checkpoints.latest() is None
        assert f"{path} is damaged (" in said[-1]
    assert len(said) == len(contents)
    assert any("run is missing" in text for text in said)


# -- the checker itself ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    name: Annotated[str, matching(r"[a-z]+", "small letters")]
    count: Annotated[int, in_range(1, 9)]
    kind: Annotated[str, among("one", "two")] = "one"
    ratio: float | None = None
    size: int | Literal["auto"] = "auto"
    pairs: list[tuple[str, int]] = field(default_factory=list)
    learning: float = number(1.0, above=0)


def test_a_form_is_filled_and_what_is_left_out_has_its_default() -> None:
    assert parse({"name": "a", "count": 2, "pairs": [["x", 1]], "other": 5}, Form) == Form("a", 2, pairs=[("x", 1)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "A1"}, "name must be small letters, got 'A1'"),
        ({"name": 5}, "name must be text, got 5"),
        ({"count": 10}, "count must be 1..9, got 10"),
        ({"count": True}, "count must be a whole number, got true"),
        ({"count": 2.5}, "count must be a whole number, got 2.5"),
        ({"count": "2"}, "count must be a whole number, got '2'"),
        ({"kind": "tow"}, "kind must be one of one, two, got 'tow'; did you mean two?"),
        ({"ratio": "1"}, "ratio must be a number, got '1' (or null)"),
        ({"size": "all"}, "size must be a whole number, got 'all' (or 'auto')"),
        ({"pairs": [["x", 1], ["y"]]}, "pairs[1] must have 2 values, got [\"y\"]"),
        ({"pairs": [["x", "1"]]}, "pairs[0][1] must be a whole number, got '1'"),
        ({"learning": 0}, "learning must be above 0, got 0.0"),
        ({"name": "a\0b"}, "name holds a null character: 'a\\x00b'"),
        ({"name": "\ud800"}, "name is not valid Unicode text: '\\ud800'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Mismatch) as error:
        parse({"name": "a", "count": 2, **change}, Form)
    assert str(error.value) == message


def test_what_is_missing_and_what_is_unknown_is_named() -> None:
    with pytest.raises(Mismatch, match=r"^count is missing$"):
        parse({"name": "a"}, Form)
    with pytest.raises(Mismatch, match=r"^kind is missing$"):
        parse({"name": "a", "count": 2}, Form, "", Rules(complete=True))
    with pytest.raises(Mismatch, match=r"^here\.other is unknown; known: name, count"):
        parse({"name": "a", "count": 2, "other": 1}, Form, "here", Rules(closed=True))
