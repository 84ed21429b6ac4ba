"""model.json: errors for old, unrelated or damaged files; code and version information."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from detector.card import Card, Threshold, Thresholds, read_card
from detector.errors import DataError
from detector.models import build
from detector.provenance import PACKAGE, Source, source, versions
from detector.weights import load_model, save_model

CPU = torch.device("cpu")
LEVEL = Threshold(0.25, 3, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    card = Card("meso4", {"dropout": 0.1}, 32, 32, thresholds={"turbo:90": Thresholds(LEVEL, LEVEL)})
    save_model(tmp_path / "train", build("meso4").state_dict(), card)
    return tmp_path / "train"


def edit(folder: Path, change: dict[str, object], remove: str | None = None) -> None:
    card = {**json.loads((folder / "model.json").read_text()), **change}
    card.pop(remove, None)
    del card["content_sha256"]
    (folder / "model.json").write_text(json.dumps(card))


def test_a_card_reads_back_as_it_was_written(folder: Path) -> None:
    card = read_card(folder)
    assert card.thresholds == {"turbo:90": Thresholds(LEVEL, LEVEL)}
    assert len(card.weights_sha256) == 64
    assert load_model(folder, CPU)[1] == card


def test_a_flipped_bit_in_the_weights_is_found_at_every_load(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the mantissa of the last weight: a file like any other
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"{path}: its SHA-256 is \w+, but .*model\.json was written for \w+"):
        load_model(folder, CPU)


def test_a_folder_of_an_earlier_version_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / "model.json").write_text(json.dumps({"model": "meso4", "options": {}, "height": 32, "width": 32}))
    with pytest.raises(DataError, match=r"model\.json: weights is missing; these weights may be of an earlier version"):
        load_model(folder, CPU)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": "32"}, "height must be a whole number, got '32'"),
        ({"height": 0}, "height must be 1..65535, got 0"),
        ({"weights_sha256": "abc"}, "weights_sha256 must be 64 hex digits, got 'abc'"),
        ({"thresholds": {"raw": {"frame": 0.5, "video": 0.5}}}, "thresholds.raw.frame must be a mapping, got 0.5"),
        ({"options": {"depth": 3}}, "model meso4: .*depth"),
        ({"model": "meso9"}, "unknown model 'meso9'"),
        ({"model": "mesoinception4"}, "do not fit each other"),
    ],
)
def test_what_is_wrong_in_a_card_is_named(folder: Path, change: dict[str, object], words: str) -> None:
    edit(folder, change)
    with pytest.raises(DataError, match=words) as error:
        load_model(folder, CPU)
    assert str(folder) in str(error.value)


def test_the_commit_is_that_of_the_last_change_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(tmp_path), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    package = tmp_path / "packages/detector/src/detector"
    package.mkdir(parents=True)
    assert source(package) == Source(None, None, "the package does not lie in a git work tree")
    git("init", "-q")
    git("config", "user.name", "test")
    git("config", "user.email", "test@localhost")
    (package / "__init__.py").write_text("")
    # a repository that happens to contain an installed package is ignored
    assert source(package) == Source(None, None, "the package does not lie in a git work tree")
    git("add", ".")
    git("commit", "-qm", "source")
    first = git("rev-parse", "HEAD")
    (tmp_path / "notes.md").write_text("")
    git("add", ".")
    git("commit", "-qm", "no source")
    assert source(package) == Source(first, False)
    (package / "__init__.py").write_text("x = 1\n")
    assert source(package) == Source(first, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source(package) == Source(None, None, "git is not installed")


def test_this_source_has_a_commit() -> None:
    found = source(PACKAGE)
    assert found.commit is None or len(found.commit) == 40


def test_versions_are_those_that_compute() -> None:
    import mozcodec

    found = versions()
    assert found["torch"] == torch.__version__
    assert found["mozjpeg"] == mozcodec.build_info()["mozjpeg_version"]
    assert {"detector", "mozcodec", "mozjpeg", "python", "torch", "timm", "numpy", "opencv"} == set(found)
