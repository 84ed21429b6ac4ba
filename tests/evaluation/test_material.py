"""What the page reads: two runs are never mixed, and no file, however damaged, ends in a traceback."""

import copy
import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from evaluation import features, made, plots, sections
from evaluation.files import FileError, read_csv, read_json, read_png, sha256
from evaluation.records import Faces, Panel
from evaluation.report import Sources, gather


def from_options(options):
    names = [str(name)[2:].replace("-", "_") for name in options[::2]]
    return Sources(**dict(zip(names, options[1::2], strict=True)))


def write_explain(folder, scores):
    """Files of ``detector explain`` that belong to the rows *scores*: one face and twelve vectors."""
    folder.mkdir()
    rows = [row for row in scores if row["split"] == "test" and row["condition"] in ("raw", "10")]
    lines = ["file,key,condition,kind,score,peak"]
    for kind in ("face", "grad_cam"):
        imsave(folder / f"{kind}.png", np.zeros((8, 8, 3), np.uint8))
        lines.append(f"{kind}.png,{rows[0]['key']},{rows[0]['condition']},{kind},{rows[0]['score']},0.5")
    (folder / "maps.csv").write_text("\n".join(lines) + "\n")
    (folder / "localization.csv").write_text(
        "condition,kind,method,n,inside,average,covered\nraw,grad_cam,all,40,0.5,0.4,0.2\n"
    )
    columns = ("key", "video", "method", "split", "label", "condition", "score")
    chosen = [*rows[:6], *rows[-6:]]
    lines = [",".join(columns)] + [",".join(str(row[name]) for name in columns) for row in chosen]
    (folder / "features.csv").write_text("\n".join(lines) + "\n")
    np.save(folder / "features.npy", np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32))
    return ["--explain", folder]


@pytest.fixture(scope="module")
def of_one_run(tmp_path_factory, write_table, rows_of, make_sources):
    """The folder with all files of a whole page, not to be written to, and the options that name them."""
    folder = tmp_path_factory.mktemp("run")
    rows = rows_of(pairs=2, val_pairs=1, frames=1)
    options = make_sources(folder, write_table(folder / "scores.csv", rows))
    return folder, [*options, *write_explain(folder / "explain", rows)]


@pytest.fixture
def everything(of_one_run, tmp_path):
    """The `Sources` of a whole page, all files in tmp_path."""
    folder, options = of_one_run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return from_options([tmp_path / one.relative_to(folder) if isinstance(one, Path) else one for one in options])


def test_files_of_one_run_go_together(everything):
    material = gather(everything)
    assert material.summary.source == material.scores.source
    assert material.faces.remarks == ["12 videos have no sound"]


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize("how", ["other seed", "one score", "one row less"])
def test_scores_of_another_run_are_refused(everything, write_scores, how):
    path = everything.scores
    if how == "other seed":
        write_scores(seed=5)
    elif how == "one score":
        path.write_text(re.sub(r"0\.(\d)(\d+)\n$", r"0.\g<1>5\n", path.read_text()))
    else:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(FileError, match=r"are not of .*scores\.csv.* Two runs are mixed; run `evaluation metrics`"):
        gather(everything)


def test_metrics_and_tables_of_different_scores_are_refused(everything):
    replaced(everything.metrics, '"sha256": "', '"sha256": "0')
    with pytest.raises(FileError, match=r"metrics\.json and .*settings\.json are of different scores"):
        gather(everything)


@pytest.mark.parametrize("name", ["metrics.csv", "differences.csv", "delong.csv", "calibration.csv", "videos.csv"])
def test_a_table_that_was_changed_is_refused(everything, name):
    path = everything.tables / name
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(FileError, match=rf"{name}: is not the table that .*settings\.json describes; run `evalu"):
        gather(everything)


def test_faces_of_another_run_are_refused(everything):
    replaced(everything.faces, '"test": 4', '"test": 3')
    message = r"summary\.json counts 3 faces of Deepfakes in the split test, .*scores\.csv has 4: two runs are mixed"
    with pytest.raises(FileError, match=message):
        gather(everything)


def test_fidelity_of_other_faces_is_refused(everything):
    replaced(everything.fidelity_summary, '"faces": 30', '"faces": 15')
    with pytest.raises(FileError, match=r"fidelity\.json is of 15 faces, .*summary\.json of 30: two runs are mixed"):
        gather(everything)


def edited(path, *place, value):
    """Write *value* at a place of a JSON file; None removes the key."""
    whole = json.loads(path.read_text())
    part = whole
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    path.write_text(json.dumps(whole))


def test_fidelity_of_another_run_with_as_many_faces_is_refused(everything):
    path = everything.fidelity_summary
    edited(path, "faces", "index_sha256", value="0" * 64)
    message = r"fidelity\.json, faces\.index_sha256: '000000000000', but .*scores\.json has .*: two runs are mixed; run"
    with pytest.raises(FileError, match=message):
        gather(everything)
    edited(path, "faces", value=None)
    with pytest.raises(FileError, match=r"fidelity\.json: does not say which crops were measured.*; run `detector fid"):
        gather(everything)


def test_panels_of_another_run_are_refused(everything):
    replaced(everything.fidelity / "panels.csv", "1234", "1235")
    with pytest.raises(FileError, match=r"panels\.csv: is not the file that .*fidelity\.json describes"):
        gather(everything)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("q77", "frame", "auc"), 0.999, r"json, q77\.frame\.auc: is 0\.999, but in the tables of .* it is 0\."),
        (("drop", "video", "auc_lo"), -0.5, r"metrics\.json, drop\.video\.auc_lo: is -0\.5, but in the tables"),
        (("matrix", "frame", "worst"), 0.9, r"metrics\.json, matrix\.frame\.worst: is 0\.9, but in the tables"),
        (("n", "pairs"), 200, r"metrics\.json, n\.pairs: is 200, but in the tables of .* it is 2"),
        (("raw", "frame", "auc"), None, r"metrics\.json, raw\.frame\.auc: is missing, but in the tables"),
        (("undefined",), ["nothing"], r"metrics\.json, undefined\.0: is "),
        (("better",), 1.0, r"metrics\.json, better: is 1\.0, but in the tables of .* it is missing"),
    ],
)
def test_an_edited_value_in_metrics_is_named(everything, place, value, message):
    edited(everything.metrics, *place, value=value)
    with pytest.raises(FileError, match=message):
        gather(everything)


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("metrics.csv", "value", r"metrics\.csv: the frame AUC, raw, is 0\.123456, but .*scores\.csv gives \d"),
        ("decisions.csv", "value", r"decisions\.csv: the specificity, raw, is 0\.123456, but .*scores\.csv gives"),
    ],
)
def test_numbers_that_the_scores_do_not_give_are_refused_even_with_matching_hashes(
    everything, table, column, message
):
    path = everything.tables / table
    rows = list(csv.DictReader(path.read_text().splitlines()))
    row = next(r for r in rows if r["level"] == "frame" and r["condition"] == "raw" and r["metric"] in (
        "auc", "specificity") and r.get("method", "all") == "all" and r["threshold_source"] in ("", "val"))  # fmt: skip
    row[column] = "0.123456"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    edited(everything.tables / "settings.json", "tables", table, value=sha256(path))
    if table == "metrics.csv":
        edited(everything.metrics, "raw", "frame", "auc", value=0.123456)
    with pytest.raises(FileError, match=message):
        gather(everything)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("model",), "xception", r"model\.json, model: 'xception', but .*scores\.json says .* of 'meso4': two runs"),
        (("weights_sha256",), "0" * 64, r"model\.json, weights_sha256: '000000000000', but .*scores\.json says"),
        (("trained_on",), "10", r"model\.json, trained_on: '10', but .*scores\.json says that the scores are of '77'"),
        (("data",), None, r"model\.json: no data; run `detector train` again"),
        (("data", "synthetic"), False, r"summary\.json, dataset\.synthetic: true, but .*model\.json has false"),
    ],
)
def test_another_model_with_equal_thresholds_is_refused(everything, place, value, message):
    edited(everything.training / "model.json", *place, value=value)
    with pytest.raises(FileError, match=message):
        gather(everything)


def test_other_weights_beside_the_same_card_are_refused(everything):
    (everything.training / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(FileError, match=r"model\.json, weights_sha256: .* is not the hash of .*weights\.safetensors"):
        gather(everything)


def test_the_history_of_another_run_is_refused(everything):
    log = everything.training / "log.jsonl"
    log.write_text(log.read_text().replace("0.69", "0.68"))
    with pytest.raises(FileError, match=r"log\.jsonl: is not the history of the model in .*model\.json"):
        gather(everything)
    edited(everything.training / "model.json", "log_sha256", value=None)
    with pytest.raises(FileError, match=r"model\.json: does not identify its history log\.jsonl"):
        gather(everything)


def test_converted_weights_need_the_record_of_the_scores(everything):
    path = everything.training / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": None}))
    assert gather(everything).history == []
    everything.origin.unlink()
    with pytest.raises(FileError, match=r"model\.json, data: null, and there is no .*scores\.json"):
        gather(everything)


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize(("name", "value"), [("synthetic", False), ("synthetic", None), ("note", "Real faces.")])
def test_an_edited_description_of_the_data_is_refused(everything, name, value, record):
    if not record:
        everything.origin.unlink()
    edited(everything.faces, "dataset", name, value=value)
    other = "scores" if record else "model"
    with pytest.raises(FileError, match=rf"summary\.json, dataset\.{name}: .*, but .*{other}\.json has .*; give the"):
        gather(everything)


@pytest.mark.parametrize("what", ["parameters", "index", "failures", "record"])
def test_faces_and_records_of_another_run_with_equal_counts_are_refused(everything, tmp_path, what):
    if what == "parameters":
        edited(everything.faces, "parameters", "detector", value="yunet")
        message = r"summary\.json, parameters\.detector: 'yunet', but .*scores\.json has 'haar': two runs are mixed"
    elif what == "index":
        replaced(tmp_path / "index.csv", ",0", ",1")
        message = r"index\.csv: is not the index of the faces in .*scores\.json"
    elif what == "failures":
        replaced(everything.failures, "000_002,,", "000_002,7,")
        message = r"failures\.csv: lists 2 frames and 0 whole videos, .*summary\.json counts 1 and 1: two runs"
    else:
        edited(everything.origin, "scores", "sha256", value="0" * 64)
        message = r"scores\.json is the record of another table .*scores\.csv was changed or replaced; run `detector"
    with pytest.raises(FileError, match=message):
        gather(everything)


def test_scores_from_elsewhere_are_reported_and_their_weights_called_unverified(everything):
    everything.origin.unlink()
    material = gather(everything)
    assert material.origin is None
    assert made.verified(material).startswith("The weights are not verified: ")


def test_another_models_thresholds_are_refused(everything):
    path = everything.training / "model.json"
    model = json.loads(path.read_text())
    model["thresholds"]["77"]["frame"]["threshold"] /= 8
    path.write_text(json.dumps(model))
    with pytest.raises(FileError, match=r"model\.json: its threshold in condition 77 is .* run `detector score` with"):
        gather(everything)
    # trained on other faces: nothing to compare
    model["data"]["faces"]["original"]["val"] = 7
    path.write_text(json.dumps(model))
    gather(everything)


@pytest.mark.parametrize("name", ["maps.csv", "features.csv"])
@pytest.mark.parametrize("what", ["score", "key"])
def test_maps_and_vectors_of_another_model_are_refused(everything, name, what):
    path = everything.explain / name
    lines = path.read_text().splitlines()
    columns = lines[0].split(",")
    cells = lines[1].split(",")
    cells[columns.index(what)] = str(float(cells[columns.index(what)]) / 2) if what == "score" else "c23/other"
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    with pytest.raises(FileError, match=rf"{name}: the score of .* two runs are mixed; run `detector explain`"):
        gather(everything)


# -- damaged files -----------------------------------------------------------------------------------------------------

WRONG = (None, "x", "", -1, 10**400, 1e308, 0.5, True, [], [[]], {}, {"a": {"b": 1}}, "<b>")
CELLS = ("", "x", "-1", "1e999", "nan", "9" * 30, "1_0", "\x00", '"', "<b>", "../../etc/passwd")


def places(value, path=()):
    """Yield the path of every part of a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def with_part(value, path, new):
    if not path:
        return new
    value = copy.deepcopy(value)
    part = value
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return value


def damaged(path):
    """Yield damaged contents of a file as bytes."""
    data = path.read_bytes()
    yield from (data[: len(data) * i // 12] for i in range(12))
    yield b"\xef\xbb\xbf" + data
    yield b"\xff\xfe" + data
    yield bytes(range(256)) * 4
    yield data[: len(data) // 2] + b"\x00" + data[len(data) // 2 :]
    yield b"[" * 100_000
    yield b'{"a":' * 400 + b"1" + b"}" * 400
    yield data + data
    if path.suffix == ".json":
        value = json.loads(data)
        for place in places(value):
            yield from (json.dumps(with_part(value, place, new)).encode() for new in WRONG)
        yield data.replace(b"1", b"NaN", 1)
    if path.suffix == ".csv":
        lines = data.decode().splitlines()
        for i, line in enumerate(lines[:2]):
            cells = line.split(",")
            for j in range(len(cells)):
                for cell in CELLS:
                    row = ",".join([*cells[:j], cell, *cells[j + 1 :]])
                    yield "\n".join([*lines[:i], row, *lines[i + 1 :], ""]).encode()


FILES = (
    "metrics.json", "tables/settings.json", "tables/metrics.csv", "tables/calibration.csv", "scores.csv",
    "scores.json", "fidelity.json", "fidelity/panels.csv", "summary.json", "failures.csv", "train/model.json",
    "train/log.jsonl", "explain/maps.csv", "explain/localization.csv", "explain/features.csv", "explain/features.npy",
    "explain/face.png",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_damage_is_an_error_that_names_the_file_or_no_error_at_all(everything, tmp_path, monkeypatch, name):
    # drawing takes seconds and t-SNE too; what is drawn has passed the schemas
    monkeypatch.setattr(features, "embed", lambda vectors: np.zeros((len(vectors), 2)))
    for figure in ("robustness", "histograms", "metric_bars", "roc_curves", "reliability_diagram", "embedding",
                   "history_matrix", "curves"):  # fmt: skip
        monkeypatch.setattr(plots, figure, lambda *_args, **_options: None)
    monkeypatch.setattr(plots, "svg", lambda _figure: "<svg >")
    path = tmp_path / name
    original = path.read_bytes()
    contents = list(damaged(path))
    contents = contents[:20] + contents[20 :: max(1, (len(contents) - 20) // 25)]      # about 45 of up to 2,000
    refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            sections.body(gather(everything))
        except (FileError, OSError) as error:
            refused += 1
            assert str(path.name) in str(error), (content[:80], error)
            assert "\n" not in str(error)
        path.write_bytes(original)
    assert refused > 8


def test_an_image_outside_of_its_folder_is_not_read(tmp_path):
    imsave(tmp_path / "secret.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "panels").mkdir()
    with pytest.raises(FileError, match=r"is outside the folder"):
        read_png(tmp_path / "panels", "../secret.png")
    (tmp_path / "panels" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FileError, match=r"is outside the folder"):
        read_png(tmp_path / "panels", "link.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"faces": {"a": {"test": "4"}}}', r"summary\.json, faces\.a\.test: expected a whole number, found '4'; way"),
        ('{"remarks": ["a", 3]}', r"summary\.json, remarks\[1\]: expected a text, found 3; way out"),
        ('{"faces": {}, "faces": {}}', r"summary\.json: the key 'faces' occurs twice in one object; way out"),
        ('{\n"faces": {,}}', r"summary\.json, line 2, column 11: not JSON: .*; way out"),
        ('{"dataset": {"synthetic": 1}}', r"summary\.json, dataset\.synthetic: expected true or false, found 1; way"),
    ],
)
def test_an_error_in_json_has_place_value_and_remedy(tmp_path, content, message):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(FileError, match=message):
        read_json(tmp_path / "summary.json", Faces, "way out")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("f,k,77,30,0.9,many,1", r"p\.csv, line 2, column bytes: expected a whole number, found 'many'; way out"),
        ("f,k,77,30,0.9", r"p\.csv, line 2: 5 values for 7 columns; way out"),
        ("f,k,77,3_0,0.9,1,1", r"p\.csv, line 2, column psnr: expected a number, found '3_0'; way out"),
    ],
)
def test_an_error_in_csv_has_place_value_and_remedy(tmp_path, row, message):
    (tmp_path / "p.csv").write_text(f"file,key,quality,psnr,ssim,bytes,bits_per_pixel\n{row}\n")
    with pytest.raises(FileError, match=message):
        read_csv(tmp_path / "p.csv", Panel, "way out")
