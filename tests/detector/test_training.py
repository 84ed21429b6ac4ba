"""Complete training runs on rendered crops, in this process."""
# Over 600 lines: all tests share the crops and the first run, which take longer than the tests.

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML
from safetensors.torch import load_file

from detector.cli import cli
from detector.config import (
    AugmentConfig,
    CheckpointConfig,
    CompressConfig,
    EfficientNetConfig,
    MesoConfig,
    Params,
    TrainConfig,
    from_mapping,
)
from detector.data.compress import compress_faces
from detector.data.index import read_index, write_index
from detector.errors import ConfigError, DataError, DetectorError
from detector.lock import Lock
from detector.provenance import versions
from detector.training import trainer as trainer_module
from detector.training.memory import fitting
from detector.training.progress import Progress
from detector.training.run import default_checkpoints, describe_run
from detector.training.trainer import Stopped, train
from detector.weights import load_model

CONFIG = TrainConfig(steps=12, batch_size=8, eval_every=5, log_every=4, lr=5e-3, threads=1, histories=None)


@pytest.fixture(autouse=True)
def torch_as_found():
    """The trainer sets torch up for its process; put it back for the tests that follow."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


class Runs:
    """Runs of the trainer in one folder, each with its own name of outputs and all with the same checkpoints."""

    def __init__(self, crops, folder):
        self.crops, self.folder = crops, folder

    def train(self, name="a", params=None, crops=None, **changes):
        config = dataclasses.replace(CONFIG, **changes)
        params = params or Params(train=config)
        out, history = self.folder / name, self.folder / f"{name}.csv"
        train(params, crops or self.crops, out, history, self.folder / "checkpoints", loader_threads=1)
        return out

    def outputs(self, name="a"):
        files = [*sorted((self.folder / name).iterdir()), self.folder / f"{name}.csv"]
        return {path.name.replace(name + ".csv", "csv"): path.read_bytes() for path in files}

    @property
    def unfinished(self):
        folder = self.folder / "checkpoints"
        return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def runs(packed_crops, tmp_path):
    return Runs(packed_crops["compressed"], tmp_path)


def test_a_run_writes_weights_card_log_and_history_and_leaves_no_checkpoints(runs):
    out = runs.train()
    assert sorted(path.name for path in out.iterdir()) == [
        "log.jsonl",
        "model.json",
        "model_card.md",
        "weights.safetensors",
    ]
    rows = list(csv.DictReader(io.StringIO((runs.folder / "a.csv").read_text())))
    assert [int(row["step"]) for row in rows] == [4, 5, 8, 10, 12]
    assert [row["val_auc"] != "" for row in rows] == [False, True, False, True, True]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in log]
    card = json.loads((out / "model.json").read_text())
    assert (card["model"], card["step"], card["height"], card["width"]) == ("meso4", 12, 32, 32)
    assert card["log_sha256"] == hashlib.sha256((out / "log.jsonl").read_bytes()).hexdigest()
    assert card["parameters"]["train"]["lr"] == 5e-3
    assert runs.unfinished == []


def test_the_model_card_has_data_recipe_and_limits(runs, packed_crops, tmp_path):
    folder = tmp_path / "told"
    shutil.copytree(packed_crops["compressed"], folder)
    summary = {
        "dataset": {"name": "drawn squares", "synthetic": True, "note": "They are no faces."},
        "parameters": {"size": 32},
        "identities": {"train": 2, "val": 2, "test": 2},
        "videos": {"original": {"train": 2, "val": 2, "test": 2}},
        "faces": {"original": {"train": 24, "val": 24, "test": 24}},
        "compress": {"quality": 60, "subsampling": "4:4:4", "tune": None, "encoder": {"mozjpeg_version": "5.0.0"}},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    text = (runs.train(crops=folder, select="best_val") / "model_card.md").read_text()
    card = json.loads((runs.folder / "a" / "model.json").read_text())
    assert text.startswith("# meso4, trained on drawn squares\n")
    for words in (
        "| parameters | 27,977 |",
        f"| weights | moving average (EMA) after step {card['step']}, selected: best_val |",
        f"| validation AUC | {card['val_auc']:.3f}, of frames, 56 crops",
        "| training crops | 56, 24 real, of ",
        "| JPEG of the crops | moz:60/4:4:4, mozjpeg 5.0.0 |",
        "| started from | random weights |",
        card["inputs"]["crops/index.csv"],
        "- They are no faces.\n",
        "**The training data are synthetic.**",
        "None: no lossless validation crops were given",
        f"| source | commit {card['source']['commit']}",
        "(N, 3, 32, 32)",
    ):
        assert words in text, words
    assert (card["trained_on"], card["crops"], card["data"]["synthetic"]) == ("moz:60/4:4:4", {"size": 32}, True)
    assert card["data"]["faces"] == summary["faces"]
    block = text.split("```yaml\n")[1].split("```")[0]
    told = YAML(typ="safe", pure=True).load(block)
    given = card["parameters"]
    del given["train"]["checkpoint"]  # when to save changes nothing that is learnt
    assert from_mapping(Params, told) == from_mapping(Params, given)  # conditions may read as numbers
    assert told.keys() == given.keys()


def test_the_trainer_learns_what_can_be_learnt(runs):
    # the pattern of the drawn forgeries is plain to see: a working loop finds it in 60 steps
    out = runs.train(steps=60, eval_every=60, batch_size=16)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[-1]["val_auc"] > 0.9
    assert log[-1]["loss"] < 0.4 < log[0]["loss"]


def test_the_same_parameters_and_data_give_the_same_bytes_in_every_output(runs):
    runs.train("a")
    runs.train("b")
    assert runs.outputs("a") == runs.outputs("b")
    runs.train("c", params=Params(seed=2, train=CONFIG))
    assert runs.outputs("c")["weights.safetensors"] != runs.outputs("a")["weights.safetensors"]


def test_the_weights_are_the_models_of_the_card(runs):
    out = runs.train()
    model, card = load_model(out, torch.device("cpu"))
    for name, value in load_file(out / "weights.safetensors").items():
        assert torch.equal(model.state_dict()[name], value)
    assert not model.training
    assert card.options == {"dropout": CONFIG.dropout, "conv_activation": "relu", "bn_momentum": 0.1}


class Interrupted(Exception):  # noqa: N818
    """Simulates the end of a process in the middle of a step."""


@pytest.mark.parametrize("changes", [{}, {"amp": "bf16"}, {"amp": "fp16"}, {"select": "best_val"}, {"paired": False}])
@pytest.mark.parametrize("every_steps", [1, 3])
def test_an_interrupted_run_ends_in_the_bytes_of_an_uninterrupted_one(runs, monkeypatch, changes, every_steps):
    runs.train("whole", **changes)
    update = trainer_module.Trainer._update
    for stop in (2, 7, 9):

        def interrupted(self, batch, stop=stop):
            if batch.step == stop:
                raise Interrupted
            update(self, batch)

        monkeypatch.setattr(trainer_module.Trainer, "_update", interrupted)
        with pytest.raises(Interrupted):
            runs.train("parts", **changes, checkpoint=CheckpointConfig(every_steps=every_steps))
    monkeypatch.setattr(trainer_module.Trainer, "_update", update)
    assert runs.unfinished
    runs.train("parts", **changes, checkpoint=CheckpointConfig(every_steps=every_steps))
    whole, parts = runs.outputs("whole"), runs.outputs("parts")
    for outputs in (whole, parts):
        del outputs["model.json"]  # it tells every parameter, and the checkpoints' interval is one
    assert parts == whole


def test_a_stop_is_saved_at_the_very_step_and_reported(runs, monkeypatch, capsys):
    update = trainer_module.Trainer._update

    def asked(self, batch):
        update(self, batch)
        if batch.step == 6:
            self.signals.received = "SIGTERM"

    runs.train("whole")
    monkeypatch.setattr(trainer_module.Trainer, "_update", asked)
    with pytest.raises(Stopped, match="stopped by SIGTERM; saved at step 7"):
        runs.train("parts")
    monkeypatch.setattr(trainer_module.Trainer, "_update", update)
    capsys.readouterr()
    runs.train("parts")
    assert "resuming from step 7 of 12" in capsys.readouterr().err
    assert runs.outputs("parts") == runs.outputs("whole")


def test_other_parameters_or_data_start_a_new_run_and_keep_other_checkpoints(
    runs, monkeypatch, packed_crops, tmp_path, capsys
):
    monkeypatch.setattr(trainer_module.Trainer, "write_outputs", lambda *_: (_ for _ in ()).throw(Interrupted))
    faces = read_index(packed_crops["compressed"])
    fewer = tmp_path / "fewer"
    shutil.copytree(packed_crops["compressed"], fewer)
    write_index(fewer / "index.csv", [face for face in faces if face.frame != 3])
    for changes in ({}, {"lr": 1e-3}, {"log_every": 3}, {"crops": fewer}):
        with pytest.raises(Interrupted):
            runs.train("parts", **changes)
    assert len(runs.unfinished) == 4
    assert "checkpoints keeps 3 unfinished runs of other parameters, data or code" in capsys.readouterr().err
    # how often to save is no part of it
    with pytest.raises(Interrupted):
        runs.train("parts", checkpoint=CheckpointConfig(every_steps=2))
    assert len(runs.unfinished) == 4


def test_a_run_is_named_by_parameters_data_code_torch_and_device(packed_crops, monkeypatch):
    def name(params=Params(), device="cpu"):  # noqa: B008
        return describe_run(params, packed_crops["compressed"], torch.device(device)).id

    first = name()
    assert name() == first
    assert name(dataclasses.replace(Params(), quality=10)) == first  # it is in the data
    assert len({first, name(Params(seed=2)), name(Params(model="mesoinception4")), name(device="cuda")}) == 4
    lossless = describe_run(Params(), packed_crops["compressed"], torch.device("cpu"), packed_crops["faces"]).id
    other = describe_run(Params(), packed_crops["compressed"], torch.device("cpu"), packed_crops["compressed"]).id
    assert len({first, lossless, other}) == 3  # random histories start from the lossless crops
    known = versions()
    for library in ("torch", "timm", "opencv", "mozcodec", "mozjpeg"):
        with monkeypatch.context() as patch:
            patch.setattr("detector.training.run.versions", lambda library=library: {**known, library: "other"})
            assert name() != first, library
    monkeypatch.setattr("detector.pipeline.Stage.code_sha256", lambda _stage: "other code")
    assert name() != first


def test_a_run_with_other_parameters_does_not_write_where_one_is_training(runs):
    lock = Lock(runs.folder / ".a.lock")
    lock.try_acquire()
    with pytest.raises(DataError, match=rf"a: process {os.getpid()} is training other weights into this folder; give"):
        runs.train("a")
    assert not (runs.folder / "a").exists()
    lock.release()
    runs.train("a")
    assert not lock.path.exists()


def test_a_run_after_another_says_that_it_replaces_it_and_leaves_no_file_of_it(runs, capsys, monkeypatch):
    first = json.loads((runs.train("a") / "model.json").read_text())["run"]
    capsys.readouterr()
    with monkeypatch.context() as patch:  # ends while it writes: the card of the first run is gone by then
        patch.setattr("detector.training.trainer.save_model", lambda *_arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runs.train("a", lr=1e-3)
    assert f"a holds the weights of run {first}; they are replaced" in capsys.readouterr().err
    assert not (runs.folder / "a" / "model.json").exists()
    second = runs.train("a", lr=1e-3)
    assert json.loads((second / "model.json").read_text())["run"] != first
    written = {path.name: path.read_bytes() for path in second.iterdir()}
    assert written == {path.name: path.read_bytes() for path in runs.train("b", lr=1e-3).iterdir()}


def test_the_data_card_counts_the_test_crops_too(packed_crops, tmp_path):
    compressed = tmp_path / "compressed"
    compress_faces(packed_crops["faces"], compressed, 77, CompressConfig(), executor="serial")
    params, out = Params(train=dataclasses.replace(CONFIG, steps=2, conditions=("raw",))), tmp_path / "out"
    train(params, compressed, out, tmp_path / "h.csv", tmp_path / "checkpoints", lossless=packed_crops["faces"])
    data = json.loads((out / "model.json").read_text())["data"]
    faces = read_index(packed_crops["faces"])
    assert data["faces"]["original"]["test"] == sum((f.split, f.method) == ("test", "original") for f in faces) > 0
    assert data["videos"]["original"]["test"] == 2
    assert data["identities"]["test"] == 2


def test_runs_that_differ_in_how_their_crops_were_encoded_have_two_names(packed_crops):
    names = set()
    for compress in (CompressConfig(), CompressConfig(subsampling="4:4:4"), CompressConfig(tune="ssim")):
        params = Params(compress=compress, train=CONFIG)
        names.add(describe_run(params, packed_crops["compressed"], torch.device("cpu")).id)
    assert len(names) == 3


def test_a_run_does_not_go_on_from_the_checkpoint_of_another_subsampling(runs, monkeypatch, capsys):
    """Two runs that differ in `compress.subsampling` alone once had one name."""
    train = dataclasses.replace(CONFIG, checkpoint=CheckpointConfig(every_steps=2))
    first, other = (Params(compress=CompressConfig(subsampling=name), train=train) for name in ("4:2:0", "4:4:4"))
    update = trainer_module.Trainer._update

    def interrupted(self, batch):
        if batch.step == 8:
            raise Interrupted
        update(self, batch)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(trainer_module.Trainer, "_update", interrupted)
        runs.train(params=first)
    assert len(runs.unfinished) == 1
    capsys.readouterr()
    runs.train(params=other)
    assert "resuming from step" not in capsys.readouterr().err
    runs.train(params=first)
    assert "resuming from step 8 of 12" in capsys.readouterr().err


def test_weights_to_start_from_are_known_by_their_bytes(packed_crops, tmp_path):
    file = tmp_path / "start.safetensors"
    train = dataclasses.replace(CONFIG, efficientnet=EfficientNetConfig(pretrained=str(file)))
    params = Params(model="efficientnet_b0", train=train)
    names = []
    for content in (b"one", b"other"):
        file.write_bytes(content)
        names.append(describe_run(params, packed_crops["compressed"], torch.device("cpu")).id)
    assert names[0] != names[1]


def test_under_dvc_weights_to_start_from_lie_where_dvc_looks(packed_crops, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    names = {}
    for place in ("elsewhere", "pretrained"):
        folder = tmp_path / place / "meso"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        for content in (b"one", b"other"):
            (folder / "weights.safetensors").write_bytes(content)
            params = Params(train=dataclasses.replace(CONFIG, meso=MesoConfig(pretrained=str(folder))))
            if place == "elsewhere":
                with pytest.raises(ConfigError, match=r"DVC would not notice a change of .*/elsewhere/meso/weights"):
                    describe_run(params, packed_crops["compressed"], torch.device("cpu"))
            else:
                names[content] = describe_run(params, packed_crops["compressed"], torch.device("cpu")).id
    assert len(set(names.values())) == 2


def test_a_training_starts_from_the_weights_of_another(runs):
    first = load_file(runs.train("first") / "weights.safetensors")
    start = MesoConfig(pretrained=str(runs.folder / "first"))
    second = runs.train("second", meso=start, steps=1, lr=1e-12, log_every=1, eval_every=1)
    weights = load_file(second / "weights.safetensors")
    for name in first:
        if "running" not in name and "batches" not in name:
            torch.testing.assert_close(weights[name], first[name], rtol=1e-6, atol=1e-9)
    load_model(second, torch.device("cpu"))  # needs nothing but its own folder


def test_a_folder_without_an_index_is_refused_by_name(runs, tmp_path):
    with pytest.raises(DataError, match=r"index.csv: no such file; is .* the output of a completed stage"):
        runs.train(crops=tmp_path)


def test_real_crops_without_a_fake_of_their_target_are_reported(runs, packed_crops, tmp_path, capsys):
    folder = tmp_path / "less"
    shutil.copytree(packed_crops["compressed"], folder)
    faces = read_index(folder)
    write_index(folder / "index.csv", [f for f in faces if not (f.label and f.video.endswith("000_001"))])
    runs.train(crops=folder)
    said = capsys.readouterr().err
    assert "meso4, 27,977 parameters, on 40 crops (24 real), 56 for validation; 12 steps of 8, amp off" in said
    assert "12 real crops have no fake of their target" in said


def test_the_best_evaluation_is_chosen_when_asked_for(runs, monkeypatch):
    aucs = iter([0.6, 0.9, 0.7])
    kept = {}
    validate = trainer_module.Trainer._validate

    def recorded(self):
        value = validate(self)
        kept[self.step] = {k: v.clone() for k, v in self.ema.model.state_dict().items()}
        return value

    monkeypatch.setattr(trainer_module, "auc", lambda *_: next(aucs))
    monkeypatch.setattr(trainer_module.Trainer, "_validate", recorded)
    out = runs.train(select="best_val")
    card = json.loads((out / "model.json").read_text())
    assert (card["selected"], card["step"], card["val_auc"]) == ("best_val", 10, 0.9)
    weights = load_file(out / "weights.safetensors")
    assert all(torch.equal(weights[name], kept[10][name]) for name in weights)


def test_a_run_stops_early_when_the_validation_gets_no_better(runs, monkeypatch, capsys):
    aucs = iter([0.6, 0.9, 0.7, 0.8])
    monkeypatch.setattr(trainer_module, "auc", lambda *_: next(aucs))
    out = runs.train(eval_every=2, patience=2)
    assert json.loads((out / "model.json").read_text())["step"] == 8
    assert "stopping early: no better validation AUC in 2 evaluations" in capsys.readouterr().err
    assert runs.unfinished == []


class Plain(torch.nn.Module):
    """A model whose gradients of parts add up exactly: no batch normalisation, no dropout."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, images):
        return self.layer(images.mean((2, 3))).squeeze(1)


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(runs, monkeypatch):
    monkeypatch.setattr(trainer_module, "build", lambda *_, **__: Plain())
    whole = load_file(runs.train("whole") / "weights.safetensors")
    for name, size in (("even", 4), ("uneven", 3), ("larger", 100)):
        parts = load_file(runs.train(name, micro_batch=size) / "weights.safetensors")
        for key in whole:
            torch.testing.assert_close(parts[key], whole[key], rtol=1e-4, atol=1e-6)


def test_a_batch_that_does_not_fit_is_halved_until_it_does():
    said, tried = [], []

    def attempt(size):
        tried.append(size)
        if size > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert fitting(attempt, 60, said.append) == 6
    assert tried == [60, 30, 14, 6]
    assert said == ["60 crops do not fit into the memory of the GPU: computing with 6 at a time"]
    assert fitting(attempt, 8, pytest.fail) == 8

    # another process, to whom the same happened at 60 only
    others = iter([True, False])
    tried.clear()
    assert fitting(tried.append, 60, said.append, lambda mine: mine or next(others)) == 30
    assert tried == [60, 30]

    def never(_size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DetectorError, match="not even two crops fit"):
        fitting(never, 16, said.append)


def test_trying_a_micro_batch_leaves_no_trace(runs, monkeypatch):
    traces = []
    run_steps = trainer_module.Trainer.run_steps

    def tried(self):
        before = {k: v.clone() for k, v in self.model.state_dict().items()}
        self._try_micro_batch(6)
        traces.append(all(torch.equal(v, before[k]) for k, v in self.model.state_dict().items()))
        traces.append(all(p.grad is None for p in self.parameters))
        run_steps(self)

    runs.train("whole")
    monkeypatch.setattr(trainer_module.Trainer, "run_steps", tried)
    runs.train("tried")
    assert traces == [True, True]
    assert runs.outputs("tried") == runs.outputs("whole")


def test_all_augmentations_together_train_and_repeat(runs):
    changes = {"augment": AugmentConfig(rotate=10, scale=0.1, blur=0.5, recompress=0.5)}
    runs.train("a", **changes)
    runs.train("b", **changes)
    assert runs.outputs("a") == runs.outputs("b")


@pytest.mark.trial(minutes=1.5)
@pytest.mark.filterwarnings("default")  # warnings of inductor itself
def test_a_compiled_model_trains_alike(runs):
    # the compiler draws dropout differently, and Adam's first steps amplify small differences: compare one gradient
    changes = {"steps": 1, "log_every": 1, "dropout": 0.0}
    eager, compiled = runs.train("eager", **changes), runs.train("compiled", compile=True, **changes)
    rows = [json.loads((out / "log.jsonl").read_text()) for out in (eager, compiled)]
    assert rows[1]["loss"] == pytest.approx(rows[0]["loss"], rel=1e-5)
    assert rows[1]["grad_norm"] == pytest.approx(rows[0]["grad_norm"], rel=1e-3)
    weights = [load_file(out / "weights.safetensors") for out in (eager, compiled)]
    assert weights[0].keys() == weights[1].keys()


def test_a_full_disk_at_the_end_loses_the_outputs_but_not_the_training(runs, monkeypatch, capsys):
    runs.train("whole")
    write_outputs = trainer_module.Trainer.write_outputs

    def on_a_full_disk(self, *paths):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # no file may grow beyond
        try:
            write_outputs(self, *paths)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(trainer_module.Trainer, "write_outputs", on_a_full_disk)
    with pytest.raises(DetectorError, match=r"weights.safetensors: could not be written: .*File too large"):
        runs.train("parts")
    (runs.folder / "parts" / ".model.json.abc.part").write_text("of a run that was killed while it wrote")
    assert not list(runs.folder.glob("parts/*weights*"))
    monkeypatch.setattr(trainer_module.Trainer, "write_outputs", write_outputs)
    capsys.readouterr()
    runs.train("parts")
    assert "resuming from step 12 of 12" in capsys.readouterr().err
    assert runs.outputs("parts") == runs.outputs("whole")


def test_a_full_disk_is_named_by_the_file_that_could_not_be_written(runs, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer_module, "_csv", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.csv'"):
        runs.train()


def test_a_non_finite_loss_ends_the_run_with_advice(runs, monkeypatch):
    monkeypatch.setattr(trainer_module, "augment", lambda images, *_: torch.full((len(images), 3, 32, 32), np.nan))
    with pytest.raises(DetectorError, match=r"not a number at step 0 \(lr 5.00e-04\); lower train.lr"):
        runs.train()
    assert not (runs.folder / "a").exists()


def test_a_non_finite_gradient_ends_the_run_before_it_reaches_the_weights(runs, monkeypatch):
    gradients = trainer_module.Trainer._gradients

    def poisoned(self, x, labels, step):
        loss = gradients(self, x, labels, step)
        if step == 3:
            self.parameters[0].grad[0] = float("inf")
        return loss

    monkeypatch.setattr(trainer_module.Trainer, "_gradients", poisoned)
    with pytest.raises(DetectorError, match="the gradient is not a number at step 3 "):
        runs.train(checkpoint=CheckpointConfig(every_steps=1))
    newest = sorted(runs.folder.glob("checkpoints/*/step-*.pt"))[-1]
    assert newest.name == "step-00000003.pt"
    state = torch.load(newest, weights_only=True)
    assert all(torch.isfinite(weights).all() for weights in state["model"].values())
    # fp16 overflows now and then: the step is skipped, and the run continues
    runs.train("half", amp="fp16", log_every=1)
    log = (runs.folder / "half/log.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in log]
    assert rows[3]["grad_norm"] is None
    assert rows[-1]["grad_norm"] > 0
    assert all(torch.isfinite(w).all() for w in load_file(runs.folder / "half/weights.safetensors").values())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "out of memory: CUDA out of"),
        (MemoryError(), "out of memory: MemoryError. Lower train.micro_batch"),
        (RuntimeError("CUDA error: device-side assert triggered"), "the loss or its gradient is not a number; lower"),
    ],
)
def test_out_of_memory_and_device_errors_are_explained(runs, monkeypatch, error, words):
    def fails(*_):
        raise error

    monkeypatch.setattr(trainer_module.Trainer, "_gradients", fails)
    with pytest.raises(DetectorError) as told:
        runs.train()
    assert words in str(told.value)
    assert "more" not in str(told.value)
    monkeypatch.setattr(trainer_module.Trainer, "_gradients", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):  # a bug keeps its own message
        runs.train()


def test_a_machine_without_memory_says_so(runs, monkeypatch):
    monkeypatch.setattr(trainer_module, "augment", lambda *_: torch.empty(1 << 56))
    with pytest.raises(DetectorError, match=r"out of memory: .*allocate.*train\.micro_batch"):
        runs.train()


def without(faces, **values):
    return [face for face in faces if any(getattr(face, name) != value for name, value in values.items())]


@pytest.mark.parametrize(
    ("values", "words"),
    [({"split": "train"}, "no faces in the training split"), ({"label": 1}, "24 real and 0 fake")],
)
def test_a_set_that_cannot_be_trained_on_is_explained(runs, packed_crops, tmp_path, values, words):
    folder = tmp_path / "less"
    shutil.copytree(packed_crops["compressed"], folder)
    write_index(folder / "index.csv", without(read_index(folder), **values))
    with pytest.raises(DataError, match=words):
        runs.train(crops=folder)


def test_without_validation_crops_the_auc_is_left_out(runs, packed_crops, tmp_path):
    folder = tmp_path / "less"
    shutil.copytree(packed_crops["compressed"], folder)
    write_index(folder / "index.csv", without(read_index(folder), split="val"))
    out = runs.train(crops=folder)
    assert json.loads((out / "model.json").read_text())["val_auc"] is None
    with pytest.raises(DataError, match=r"train\.select.*best_val.*validation"):
        runs.train(crops=folder, select="best_val")


def test_an_unknown_model_is_named_with_the_known_ones(runs):
    with pytest.raises(ConfigError, match=r"model: unknown model 'meso'; known models: .*meso4"):
        runs.train(params=Params(model="meso", train=CONFIG))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("steps: many", "train.steps must be a whole number, got 'many'"),
        ("step: 60", "train.step is not a parameter; did you mean train.steps?"),
        ("batch_size: 7", "train.batch_size must be a multiple of 2"),
    ],
)
def test_errors_are_a_line_and_no_traceback(packed_crops, tmp_path, line, words):
    (tmp_path / "params.yaml").write_text(f"train: {{{line}, threads: 1}}")
    arguments = ["train", packed_crops["compressed"], tmp_path / "out", "--params", tmp_path / "params.yaml"]
    arguments += ["--checkpoints", tmp_path / "checkpoints", "--history", tmp_path / "history.csv"]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert words in result.output


def test_unfinished_runs_lie_in_the_dvc_repository(monkeypatch, tmp_path):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert str(default_checkpoints()) == "out/checkpoints"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert default_checkpoints() == tmp_path / "out" / "checkpoints"


ROW = {"step": 50, "epoch": 0, "loss": 0.5, "lr": 1e-3, "grad_norm": 1.0, "val_auc": None}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal_and_lines_elsewhere(tmp_path):
    stream = io.StringIO()
    progress = Progress(100, tmp_path / "logs" / "train.jsonl", stream)
    progress.row(ROW, images=1600, waited=0.0)
    progress.row({**ROW, "step": 100, "val_auc": 0.75}, images=3200, waited=0.0)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("step 50/100  loss 0.5000  lr 1.00e-03  ")
    assert "img/s" in first
    assert "val AUC 0.750" in second
    assert second.endswith("ETA 0:00")
    lines = [json.loads(line) for line in (tmp_path / "logs" / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 100]
    assert all(line["images_per_second"] > 0 for line in lines)

    terminal = Terminal()
    progress = Progress(100, None, terminal)
    for step in (10, 20):
        progress.row({**ROW, "step": step}, images=10, waited=0.0)
    assert terminal.getvalue().count("\n") == 0
    progress.say("a word")
    assert terminal.getvalue().endswith("\na word\n")


def test_progress_continues_on_a_full_disk():
    stream = io.StringIO()
    progress = Progress(100, Path("/dev/full"), stream)
    for step in (10, 20):
        progress.row({**ROW, "step": step}, images=10, waited=0.0)
    assert stream.getvalue().count("/dev/full could not be written: No space left on device; no more times") == 1
    assert stream.getvalue().count("step 20/100") == 1


def test_progress_continues_after_its_terminal_closes():
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    progress = Progress(100, None, Gone())
    progress.say("nobody hears this")
    progress.row(ROW, images=1, waited=0.0)
