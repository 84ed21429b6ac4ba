"""The table of metrics: every entry has what its users need, and a new entry reaches every one of them."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import metrics
from evaluation.cli import main
from evaluation.metrics import METRICS, Metric, Ranking, headline


def value(metric, labels, scores, threshold=0.5):
    if metric.loss:
        return float(np.mean(metric.loss(labels, scores)))
    counts = Ranking(labels, scores).counts()
    return float(metric.ranking(counts) if metric.ranking else metric.decision(counts.confusion(threshold)))


LABELS = np.repeat([0, 1], 4000)
PERFECT = 0.2 + 0.6 * LABELS + np.linspace(-0.1, 0.1, 8000)


@pytest.mark.parametrize("name", METRICS)
def test_an_entry_is_complete(name):
    metric = METRICS[name]
    noise = np.random.default_rng(0).random(8000)
    good, random = value(metric, LABELS, PERFECT), value(metric, LABELS, noise)

    assert np.isfinite([good, random]).all()
    assert (good > random) is metric.higher_is_better
    if metric.chance is not None:
        assert random == pytest.approx(metric.chance, abs=0.03)
    assert metric.title
    assert metric.undefined
    assert not (metric.headline and "." in name)                     # DVC splits keys at dots
    if name in metrics.__all__:                                      # all but the TPRs at a fixed FPR
        assert value(metric, LABELS, noise) == pytest.approx(getattr(metrics, name)(LABELS, noise))
    else:
        fpr = float(name.removeprefix("tpr_at_fpr_"))
        assert value(metric, LABELS, noise) == pytest.approx(metrics.tpr_at_fpr(LABELS, noise, fpr))


def test_titles_are_unique():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


def test_a_metric_of_two_kinds_is_refused():
    with pytest.raises(ValueError, match="needs one of ranking, decision, loss; it has 2"):
        Metric("x", ranking=metrics.Counts.auc, decision=metrics.Confusion.f1)


@pytest.mark.parametrize(
    "new",
    [
        Metric("Gini", ranking=lambda counts: 2 * counts.auc() - 1, headline=True),
        Metric("informedness", decision=lambda c: c.acc_real() + c.acc_fake() - 1, headline=True),
        Metric("absolute error", loss=lambda y, s: np.abs(np.asarray(s) - y), higher_is_better=False, headline=True),
    ],
    ids=lambda metric: metric.title,
)
def test_a_new_metric_reaches_files_figures_and_page(monkeypatch, write_scores, tmp_path, new):
    monkeypatch.setitem(METRICS, "new", new)
    scores, out = write_scores(), tmp_path / "metrics.json"
    sources = ["--metrics", out, "--scores", scores, "--tables", tmp_path / "t"]
    for args in (
        ["metrics", scores, out, "--tables", tmp_path / "t", "--headline", tmp_path / "h.json", "--replicates", "20"],
        ["report", tmp_path / "page", *sources],
    ):
        result = CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert set(found["q77"]["video"]) >= {"new", "new_lo", "new_hi"}
    assert "new" in found["drop"]["frame"]
    with (tmp_path / "t" / "metrics.csv").open(newline="") as file:
        assert any(row["metric"] == "new" for row in csv.DictReader(file))
    # a label of the bar chart, which says where lower is better
    label = new.title if new.higher_is_better else f"{new.title} (lower is better)"
    assert f">{label}<" in (tmp_path / "page" / "index.html").read_text()


def test_headline_metrics_are_those_of_metrics_json():
    assert headline() == ["auc", "ap", "eer", "accuracy", "balanced_accuracy", "f1"]
