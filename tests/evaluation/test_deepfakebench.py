"""Results of DeepfakeBench, pickles that its trainer writes: read as they are, and refused by name where damaged."""

import json
import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.scores import ScoresError, read

from .small import run, small


def bench(folder, images=None, label=None, score=None, protocol=4):
    """Files as DeepfakeBench's trainer writes them: metric_dict_best.pickle and data_dict_test.pickle."""
    metrics = {"acc": np.float64(0.5), "auc": 0.5, "eer": 0.1, "ap": 0.2, "pred": score, "video_auc": 0.5}
    metrics["label"] = label
    (folder / "metric_dict_best.pickle").write_bytes(pickle.dumps(metrics, protocol))
    if images is not None:
        # the data set shuffles its rows by zip(*rows), so both are tuples; the label is the class of its configuration
        data = {"image": tuple(images), "label": tuple(int(y) * 3 for y in label)}
        (folder / "data_dict_test.pickle").write_bytes(pickle.dumps(data, protocol))
    return folder / "metric_dict_best.pickle"


@pytest.mark.parametrize("protocol", range(6))
def test_deepfakebench_results_give_its_frame_and_video_auc(protocol, tmp_path):
    clips = [("original_sequences/youtube", "000", 0), ("original_sequences/youtube", "003", 0)]
    named = [(method, name) for method in ("Deepfakes", "FaceSwap") for name in ("000_003", "003_000")]
    clips += [(f"manipulated_sequences/{method}", name, 1) for method, name in named]
    images, label = [], []
    for folder, name, fake in clips:
        images += [f"./FaceForensics++\\{folder}/c23/frames/{name}/{frame:03d}.png" for frame in range(4)]
        label += [fake] * 4
    score = np.random.default_rng(1).random(len(label)).astype(np.float32)
    path = bench(tmp_path, images, np.array(label), score, protocol)
    found = read(path)
    assert found.score.tolist() == score.astype(float).tolist()
    assert found.methods == ["Deepfakes", "FaceSwap"]
    assert found.counts() == {"frames": 24, "videos": 6, "pairs": 1}
    assert set(found.compression.tolist()) == {"c23"}
    # one name under two methods stays two videos: DeepfakeBench itself merges them
    result = run("metrics", path, tmp_path / "m.json")
    assert result.exit_code == 0
    frame = json.loads((tmp_path / "m.json").read_text())["as-given"]["frame"]
    assert frame["auc"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    images[3], images[7] = images[7], images[3]
    wrong = [*label[:-1], 0]
    bench(tmp_path, images, np.array(wrong), score)
    (tmp_path / "data_dict_test.pickle").write_bytes(pickle.dumps({"image": images, "label": label}))
    with pytest.raises(ScoresError, match=r"row 24: the label differs .*two runs are mixed"):
        read(path)


def test_deepfakebench_detectors_of_clips_give_one_row_for_each_clip(tmp_path):
    folders = {"FF/original_sequences/youtube/c23/frames/000": 0, "FF/original_sequences/youtube/c23/frames/003": 0,
               "FF/manipulated_sequences/Deepfakes/c23/frames/000_003": 1}  # fmt: skip
    clips = [[f"{folder}/{i + start:03d}.png" for i in range(8)] for folder in folders for start in (0, 8)]
    label = np.array([fake for fake in folders.values() for _ in range(2)])
    score = np.array([0.1, 0.2, 0.3, 0.6, 0.5, 0.9], dtype=np.float32)
    found = read(bench(tmp_path, clips, label, score))
    assert found.key.tolist() == [clip[0] for clip in clips]
    assert found.counts() == {"frames": 6, "videos": 3, "pairs": 1}
    assert "each row is a clip of 8 frames, not a face" in found.notes
    clips[1] = []
    with pytest.raises(ScoresError, match="no list of image paths"):
        read(bench(tmp_path, clips, label, score))


def test_deepfakebench_results_without_their_images_are_rows(tmp_path):
    label, score = small()
    found = read(bench(tmp_path, None, label, score))
    assert found.counts() == {"frames": 40, "videos": 40, "pairs": 40}
    assert any("every row counts as independent" in note for note in found.notes)
    (tmp_path / "avg.pickle").write_bytes(pickle.dumps({"auc": 0.9, "dataset_dict": {}}))
    message = r"expected the keys pred and label, found 'auc', 'dataset_dict'; give the metric_dict_best"
    with pytest.raises(ScoresError, match=message):
        read(tmp_path / "avg.pickle")


BENCH = {"label": np.array([0, 1]), "score": np.array([0.2, 0.7])}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"score": np.array([0.2])}, r"1 values in pred and 2 in label"),
        ({"label": np.array([0, 3])}, r"row 2, label: 3\.0 is neither 0 \(real\) nor 1 \(fake\)"),
        ({"score": ["a", "b"]}, r"pred is not a list of numbers"),
        ({"score": np.zeros((2, 3))}, r"pred has the shape \(2, 3\), not one number for each face"),
        ({"images": ["a/0.png"]}, r"data_dict_test\.pickle: 1 images for 2 scores: two runs are mixed"),
    ],
)
def test_deepfakebench_results_that_do_not_fit_together_are_named(files, message, tmp_path):
    path = bench(tmp_path, **{**BENCH, **files})
    with pytest.raises(ScoresError, match=message):
        read(path)


def test_deepfakebench_scores_of_one_column_are_read_and_columns_of_a_pickle_are_not_named(tmp_path):
    assert read(bench(tmp_path, None, BENCH["label"], BENCH["score"][:, None])).score.tolist() == [0.2, 0.7]
    with pytest.raises(ScoresError, match="--column is for tables; the columns of a DeepfakeBench pickle are known"):
        read(tmp_path / "metric_dict_best.pickle", columns={"score": "pred"})


def test_deepfakebench_images_that_are_a_cut_pickle_are_named(tmp_path):
    path = bench(tmp_path, ["a/0.png", "b/0.png"], **BENCH)
    beside = tmp_path / "data_dict_test.pickle"
    beside.write_bytes(beside.read_bytes()[:-5])
    with pytest.raises(ScoresError, match=r"data_dict_test\.pickle: cannot read this pickle: "):
        read(path)
