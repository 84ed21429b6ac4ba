"""Heat maps and feature vectors on the page: numbers equal the files', the embedding repeats, damage is named."""

import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imsave
from scipy import stats
from sklearn.metrics import silhouette_score

from evaluation import explain, plots
from evaluation.cli import main
from evaluation.features import _without_each, embed, read, silhouette, silhouette_range
from evaluation.page import joined

CONDITIONS = ("raw", "77", "10")
FACES = ("c23/original/004/0000", "c23/Deepfakes/004_005/0000", "c23/FaceSwap/004_005/0000")


@pytest.fixture
def folder(tmp_path):
    """What ``detector explain`` writes, of noise: three faces, a Grad-CAM and an attention map, 60 vectors."""
    noise = np.random.default_rng(0)
    folder = tmp_path / "explain"
    (folder / "maps").mkdir(parents=True)
    lines = ["file,key,condition,kind,score,peak"]
    for key in FACES:
        kinds = [(quality, kind) for quality in CONDITIONS for kind in ("face", "grad_cam", "attention_1")]
        kinds += [] if "original" in key else [("raw", "mask")]
        for quality, kind in kinds:
            file = f"maps/{key.replace('/', '-')}-{quality}-{kind}.png"
            imsave(folder / file, noise.integers(0, 255, (8, 8, 3), dtype=np.uint8))
            lines.append(f"{file},{key},{quality},{kind},0.625,0.5")
    (folder / "maps.csv").write_text("\n".join(lines) + "\n")
    (folder / "localization.csv").write_text(
        "condition,kind,method,n,inside,inside_lo,inside_hi,average,average_lo,average_hi,gain,gain_lo,gain_hi,"
        "covered,covered_lo,covered_hi,unit,reason\n"
        "raw,grad_cam,all,40,0.5125,0.5,0.53,0.4,0.39,0.41,0.112,0.1,0.125,0.25,0.24,0.26,pair,\n"
        "raw,grad_cam,FaceSwap,20,0.3,,,0.4,,,-0.1,,,0.2,,,pair,fewer than two clusters\n"
        "10,attention_1,all,40,0.4,0.38,0.42,0.41,0.4,0.42,-0.01,-0.02,0.01,0.25,0.24,0.26,pair,\n"
    )
    rows = ["key,video,method,identity,pair,split,label,condition,score"]
    for i in range(60):
        method = ("original", "Deepfakes", "FaceSwap")[i % 3]
        person = i % 30 // 3               # each has a real face and two fakes, of a pair of their own
        rows.append(f"{i},{method}/{i},{method},{person},{person},test,{int(i % 3 > 0)},{('raw', '10')[i // 30]},0.5")
    (folder / "features.csv").write_text("\n".join(rows) + "\n")
    np.save(folder / "features.npy", noise.normal(size=(60, 5)).astype(np.float32))
    return folder


def test_the_section_shows_each_map_in_each_condition_and_each_number(folder):
    html = joined(explain.parts(explain.read(folder))).html

    assert html.count("data:image/png") == 3 * 3 * 3 + 2
    assert html.count(">mask</b>") == 2
    first = html[: html.index("FaceSwap/004_005")]
    assert re.findall(r"<b>(.*?)</b>", first)[:3] == ["uncompressed", "quality 77", "quality 10"]
    assert html.count("score 0.625") == 9
    texts = (
        "0.512<i>[0.500, 0.530]", "+0.112<i>[+0.100, +0.125]", "-0.010<i>[-0.020, +0.010]", "0.300<i>[a]",
        "[a] no interval: fewer than two clusters", "95 % intervals by pairs; the average map is taken as given",
        "attention 1", "1 more", "(5 values) for 30 test faces", "By forgery method",
    )  # fmt: skip
    for text in texts:
        assert text in html, text


def test_the_page_takes_the_folder_and_without_it_leaves_the_section_out(folder, rows_of, write_scores, tmp_path):
    def run(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)

    # the scores of the maps and vectors are .625 and .5; theirs must be the same
    rows = [{**row, "score": "0.625"} for row in rows_of()]
    rows += [
        {**rows[0], "key": str(i), "score": "0.5", "condition": condition}
        for i in range(60)
        for condition in ("raw", "77", "10")
    ]
    scores, metrics, tables = write_scores(rows=rows), tmp_path / "metrics.json", tmp_path / "tables"
    run("metrics", scores, metrics, "--tables", tables, "--replicates", "20")
    base = ["--metrics", metrics, "--scores", scores, "--tables", tables]
    for name, extra in (("with", ["--explain", folder]), ("without", [])):
        result = run("report", tmp_path / name, *base, *extra)
        assert result.exit_code == 0, result.output
        assert ("Where the model looks" in (tmp_path / name / "index.html").read_text()) is bool(extra)
        assert (tmp_path / name / "features.png").exists() is bool(extra)


def test_the_embedding_repeats_and_separates_clusters():
    noise = np.random.default_rng(1)
    label = np.repeat([0, 1], 30)
    vectors = noise.normal(size=(60, 8)) + 12 * label[:, None]
    plane = embed(vectors)

    np.testing.assert_array_equal(plane, embed(vectors))
    distances = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (label[distances.argmin(1)] == label).all()


def test_columns_are_standardised_before_the_embedding():
    vectors = np.random.default_rng(3).normal(size=(40, 4))
    # powers of two: standardising removes them without rounding, so the embedding is the same to the last bit
    np.testing.assert_array_equal(embed(vectors), embed(vectors * [1, 1024, 0.25, 8] + 0))


@pytest.mark.parametrize(("n", "width"), [(3, 4), (6, 4), (20, 1)])
def test_few_or_short_vectors_are_no_error(n, width):
    plane = embed(np.random.default_rng(2).normal(size=(n, width)))

    assert plane.shape == (n, 2)
    assert np.isnan(plane).all() == (n < 5)


def test_silhouette_by_hand():
    """On a line: 0, 1 real, 4, 5 fake. Of 0: own 1, other 4.5, so (4.5 - 1) / 4.5; of 1: own 1, other 3.5; mirrored."""
    labels = np.array([0, 0, 1, 1], np.int8)
    vectors = np.array([[0.0], [1.0], [4.0], [5.0]])

    assert silhouette(vectors, labels) == pytest.approx((3.5 / 4.5 + 2.5 / 3.5) / 2)
    assert np.isnan(silhouette(vectors, np.zeros(4, np.int8)))
    assert np.isnan(silhouette(np.zeros((4, 1)), labels))


def test_the_silhouette_without_each_cluster_is_that_of_scikit_learn(folder):
    found = explain.read(folder).features
    rows = np.flatnonzero(found.condition == "raw")
    vectors, label, code = found.vectors[rows], found.label[rows], np.arange(30) // 3
    expected = [silhouette_score(vectors[code != out], label[code != out]) for out in range(10)]
    np.testing.assert_allclose(_without_each(vectors, label.astype(int), code), expected, atol=1e-12)
    value, lo, hi, reason = silhouette_range(found, "raw")
    half = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * np.sum((np.array(expected) - np.mean(expected)) ** 2))
    assert value == pytest.approx(silhouette_score(vectors, label))
    assert lo <= value - half * 0.999
    assert hi >= value + half * 0.999
    assert reason == ""


def test_a_silhouette_without_an_interval_says_why(folder):
    table = folder / "features.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join(line[:3] + line[5:]) for line in lines) + "\n")   # as earlier versions wrote it
    found = explain.read(folder)
    assert "does not say which people" in silhouette_range(found.features, "raw").reason
    assert "[no interval: the table features.csv does not say which people" in joined(explain.parts(found)).html


def test_every_face_is_drawn_once_in_the_panel_of_its_condition(folder):
    found = explain.read(folder)
    figure = plots.embedding(found.plane, found.features)

    assert [axes.get_title(loc="left") for axes in figure.axes] == ["uncompressed", "quality 10"]
    for axes in figure.axes:
        assert [len(points.get_offsets()) for points in axes.collections] == [10, 10, 10]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("maps.csv", "file,key\n", r"maps\.csv, line 1: no column condition"),
        ("features.npy", "no array", r"features\.npy: not a NumPy array file"),
        (
            "features.csv",
            "key,video,method,split,label,condition,score\n",
            r"expected 0 vectors of .*found float32 \(60, 5\)",
        ),
        (
            "localization.csv",
            "condition,kind,method,n,inside,average,covered\nraw,face,all,x,1,1,1\n",
            "line 2, column n: expected a whole number, found 'x'; run `detector explain` again",
        ),
    ],
)
def test_a_file_that_is_not_right_is_named(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        explain.read(folder)


def test_vectors_that_are_not_finite_are_refused(folder):
    np.save(folder / "features.npy", np.full((60, 5), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        read(folder / "features.npy", folder / "features.csv")


def test_nothing_is_printed_where_the_number_of_cores_is_not_known():
    # as in a container without /sys; the number of cores is kept from its first count, so a process of its own
    code = """
import numpy as np
from joblib.externals.loky.backend import context
context._count_physical_cores_linux = lambda: 0
context.physical_cores_cache = None
from evaluation.features import embed, silhouette
vectors = np.random.default_rng(0).normal(size=(20, 4))
embed(vectors), silhouette(vectors, np.arange(20) % 2)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
