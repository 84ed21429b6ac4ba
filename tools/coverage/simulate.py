"""Simulated coverage of the intervals of `evaluation`: how often a 95 % interval contains the true value.

``make coverage``, or ``python -m tools coverage OUT --table docs/results.md``. This is not the coverage of the tests,
which is ``make coverage-report``. Blocks of 100 test sets per design are appended to OUT/<design>-<digest>.jsonl;
finished blocks are kept. The digest covers the design and the sources that make the intervals, so that a change of
either is simulated again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy import special

from evaluation import calibration, metrics
from evaluation.calibration_ranges import ece, fitted_temperature
from evaluation.coverage import WIDEST
from evaluation.coverage_table import Row
from evaluation.files import write_whole
from evaluation.jackknife import Estimate, Sample, Side
from evaluation.measure import measure
from evaluation.wilson import LEAST_REALS, Range, difference, largest_gap, mean_of, ratio_of_gains, worst
from evaluation.wins import Wins
from tools.coverage.designs import DESIGNS, Data, Design, generate

BLOCK = 100
TRUTH_PAIRS = 5_000
SINGLE = {
    "auc": ("auc", ""), "bacc": ("balanced_accuracy", "fixed"), "f1": ("f1", "fixed"), "tpr5": ("tpr_at_fpr_0.05", ""),
    "tpr1": ("tpr_at_fpr_0.01", ""), "eer": ("eer", ""), "brier": ("brier", ""), "logloss": ("logloss", ""),
    "ap": ("ap", ""), "tpr": ("recall", "fixed"), "tnr": ("acc_real", "fixed"), "accuracy": ("accuracy", "fixed"),
    "precision": ("precision", "fixed"), "mcc": ("mcc", "fixed"),
}  # fmt: skip
RATES = {"tpr5": 0.05, "tpr1": 0.01}
Found = dict[str, Range]


def matrix(data: Data) -> list[list[Estimate]]:
    """Return the AUC of the reals of each cell (rows) against the fakes of each (columns)."""
    fake = data.label == 1
    reals = [Side(row[~fake], data.clusters[~fake]) for row in data.score]
    fakes = [Side(row[fake], data.clusters[fake]) for row in data.score]
    wins = Wins.of(reals, fakes)
    return [[wins.auc(i, j) for j in range(len(fakes))] for i in range(len(reals))]


def intervals(data: Data, design: Design) -> Found:
    """Return the metrics of the first cell and the comparisons between cells."""
    single = []
    for row in data.score[:1] if len(design.cells) == 9 else data.score[[0, -1][: len(data.score)]]:
        sample = Sample.of(data.label, row, data.clusters)
        single.append(measure(sample, {"fixed": 0.5}, len(np.unique(data.video[data.label == 0]))))
    found = {name: single[0].ranges[key] for name, key in SINGLE.items()}
    sample = Sample.of(data.label, data.score[0], data.clusters)
    found |= {"ece": ece(sample), "temperature": fitted_temperature(sample)}
    if len(design.cells) > 1:
        cells = matrix(data)
        flat = [cell for row in cells for cell in row]
        diagonal = [cells[i][i] for i in range(len(cells))]
        found |= {
            "difference": difference([diagonal[0]], [diagonal[-1]]), "worst": worst(flat), "pooled": mean_of(flat),
            "lean": largest_gap([(cells[i][j], cells[j][i]) for i in range(len(cells)) for j in range(i)]),
            "retention": ratio_of_gains(diagonal[-1], diagonal[0]), "mean": mean_of(diagonal),
            "drop_difference": difference([cells[0][0], cells[-1][-1]], [cells[0][-1], cells[-1][0]]),
        }  # fmt: skip
        if len(single) > 1:
            for name in ("bacc", "f1", "eer"):
                first, last = (measured.estimates[SINGLE[name]] for measured in (single[0], single[-1]))
                found[f"{name}_difference"] = difference([first], [last])
    return found


def true_values(design: Design, level: str, seed: int) -> dict[str, float]:
    """Return the metrics of a population, averaged over large samples."""
    chunks = []
    for chunk in range(4 if design.pairs < 30 else 8):
        data = generate(design, TRUTH_PAIRS, np.random.default_rng([seed, 99, chunk]))
        data = data if level == "frame" else data.by_video()
        chunks.append(_values(data, design))
    return {name: float(np.mean([chunk[name] for chunk in chunks])) for name in chunks[0]}


def _values(data: Data, design: Design) -> dict[str, float]:
    label = data.label
    out = {}
    for number in sorted({0, len(design.cells) - 1}):
        row = data.score[number]
        counts = metrics.Ranking(label, row).counts()
        confusion = counts.confusion(0.5)
        values: dict[str, Any] = {
            "auc": counts.auc(), "ap": counts.ap(), "eer": counts.eer()[0], "tpr5": counts.tpr_at_fpr(0.05),
            "tpr1": counts.tpr_at_fpr(0.01), "brier": metrics.brier(label, row), "logloss": metrics.logloss(label, row),
            "bacc": confusion.balanced_accuracy(), "f1": confusion.f1(), "tpr": confusion.recall(),
            "tnr": confusion.acc_real(), "accuracy": confusion.accuracy(), "precision": confusion.precision(),
            "mcc": confusion.mcc(),
        }  # fmt: skip
        out[number] = {name: float(value) for name, value in values.items()}
    some = slice(None, None, -(-len(label) // 50_000))
    logits = special.logit(np.clip(data.score[0][some], 1e-7, 1 - 1e-7))
    out[0] |= {
        "ece": calibration.ece(label, data.score[0]), "temperature": calibration.temperature(label[some], logits)
    }  # fmt: skip
    first, last = out[0], out[len(design.cells) - 1]
    found = dict(first)
    if len(design.cells) > 1:
        real, fake = data.score[:, label == 0], data.score[:, label == 1]
        auc = np.array([[_auc(r, f) for f in fake] for r in real])
        found |= {
            "difference": auc[0, 0] - auc[-1, -1], "worst": auc.min(), "pooled": auc.mean(),
            "lean": np.abs(auc - auc.T).max(), "mean": np.diag(auc).mean(),
            "retention": (auc[-1, -1] - 0.5) / (auc[0, 0] - 0.5),
            "drop_difference": auc[0, 0] + auc[-1, -1] - auc[0, -1] - auc[-1, 0],
        } | {f"{name}_difference": first[name] - last[name] for name in ("bacc", "f1", "eer")}  # fmt: skip
    return found


def _auc(real: np.ndarray, fake: np.ndarray) -> float:
    ranked = np.sort(real)
    wins = np.searchsorted(ranked, fake, "left") + np.searchsorted(ranked, fake, "right")
    return float(wins.mean() / 2 / len(real))


def bootstrap(data: Data, generator: np.random.Generator, replicates: int) -> Found:
    """Return percentile intervals of a bootstrap of whole clusters for comparison."""
    clusters = len(data.clusters.weight)
    weights = generator.multinomial(clusters, np.full(clusters, 1 / clusters), replicates).astype(np.float64)
    code = data.clusters.code[:, 0]
    ranking = metrics.Ranking(data.label, data.score[0])
    counts = ranking.counts(weights, code)
    confusion = counts.confusion(0.5)
    loss = metrics.brier_of_each(data.label, data.score[0])
    sums, sizes = np.bincount(code, loss, clusters), np.bincount(code, minlength=clusters)
    drawn = {"auc": counts.auc(), "bacc": confusion.balanced_accuracy(), "f1": confusion.f1(), "eer": counts.eer()[0],
             "brier": (weights @ sums) / (weights @ sizes), "ap": counts.ap()}  # fmt: skip
    real_videos = len(np.unique(data.video[data.label == 0]))
    drawn |= {name: counts.tpr_at_fpr(rate) for name, rate in RATES.items() if real_videos * rate >= LEAST_REALS}
    if 1 < len(data.score) < 9:
        drawn |= _redrawn_cells(data, weights)
    return {name: Range(float(np.mean(v)), *np.nanquantile(v, [0.025, 0.975]).tolist()) for name, v in drawn.items()}


def _redrawn_cells(data: Data, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the comparisons of cells in each replicate, from the wins of the fakes of a cluster over those of another.

    *weights* (replicates, clusters): how often a cluster was drawn.
    """
    fake, clusters = data.label == 1, weights.shape[1]
    of_real, of_fake = (data.clusters.code[rows, 0] for rows in (~fake, fake))
    sizes = (weights @ np.bincount(of_real, minlength=clusters)) * (weights @ np.bincount(of_fake, minlength=clusters))
    cells = np.empty((len(data.score), len(data.score), len(weights)))
    order = np.argsort(of_fake, kind="stable")
    names, starts = np.unique(of_fake[order], return_index=True)
    for i, real in enumerate(data.score[:, ~fake]):
        ranked = [np.sort(real[of_real == c]) for c in range(clusters)]
        for j, scores in enumerate(data.score[:, fake]):
            wins = np.zeros((clusters, clusters))
            for c, against in enumerate(ranked):
                wins[names, c] = np.add.reduceat(np.searchsorted(against, scores[order]), starts)
            with np.errstate(invalid="ignore"):
                cells[i, j] = np.einsum("rc,rc->r", weights @ wins, weights) / sizes
    flat = cells.reshape(-1, len(weights))
    diagonal = np.array([cells[i, i] for i in range(len(cells))])
    return {"difference": cells[0, 0] - cells[-1, -1], "worst": flat.min(axis=0), "pooled": flat.mean(axis=0),
            "mean": diagonal.mean(axis=0)}  # fmt: skip


def digest(design: Design) -> str:
    """Return a short hash of the design and of the code of the intervals."""
    import evaluation

    folder, here = Path(evaluation.__file__).parent, Path(__file__).parent
    names = ("calibration_ranges.py", "clusters.py", "jackknife.py", "measure.py", "wilson.py", "wins.py")
    paths = [folder / name for name in names]
    text = json.dumps(asdict(design), sort_keys=True) + "".join(_code(path) for path in [*paths, here / "designs.py"])
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _code(path: Path) -> str:
    """Return a source file without comments, docstrings, formatting and the words of its messages."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body:
            continue
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)


def block(job: tuple[str, int, int, int, int]) -> tuple[str, list[dict[str, Any]]]:
    """Simulate one block of test sets of a design; returns its lines."""
    name, number, seed, boot_sets, replicates = job
    design = DESIGNS[name]
    generator = np.random.default_rng([seed, 1, number])
    lines: dict[tuple[str, str, str], list[list[float]]] = {}
    for repetition in range(BLOCK):
        whole = generate(design, design.pairs, generator)
        for level in design.levels:
            data = whole if level == "frame" else whole.by_video()
            for metric, found in intervals(data, design).items():
                lines.setdefault((level, "jackknife", metric), []).append([found.lo, found.hi, found.value])
            if repetition < boot_sets and not design.people:
                drawn = bootstrap(data, np.random.default_rng([seed, 2, number, repetition]), replicates)
                for metric, found in drawn.items():
                    lines.setdefault((level, "bootstrap", metric), []).append([found.lo, found.hi, found.value])
    return name, [
        {"block": number, "level": level, "kind": kind, "metric": metric,
         "rows": [[None if np.isnan(x) else round(x, 7) for x in row] for row in rows]}
        for (level, kind, metric), rows in lines.items()
    ]  # fmt: skip


def truth(job: tuple[str, int]) -> tuple[str, dict[str, dict[str, float]]]:
    name, seed = job
    return name, {level: true_values(DESIGNS[name], level, seed) for level in DESIGNS[name].levels}


def run(out: Path, names: list[str], repetitions: int, seed: int, jobs: int, boot: int, replicates: int) -> None:
    """Simulate the missing blocks."""
    out.mkdir(parents=True, exist_ok=True)
    blocks = -(-repetitions // BLOCK)
    todo_truth, todo = [], []
    for name in names:
        if not _truth_path(out, name, seed).exists():
            todo_truth.append((name, seed))
        done = {line["block"] for line in _lines(_path(out, name))}
        boot_blocks = -(-boot // BLOCK)
        todo += [(name, b, seed, BLOCK if b < boot_blocks else 0, replicates) for b in range(blocks) if b not in done]
    with ProcessPoolExecutor(jobs) as pool:
        for name, values in pool.map(truth, todo_truth):
            write_whole(_truth_path(out, name, seed), json.dumps(values, indent=1))
            print(f"{time.strftime('%H:%M:%S')} truth of {name}", file=sys.stderr, flush=True)
        for count, (name, lines) in enumerate(pool.map(block, todo), 1):
            path = _path(out, name)
            before = path.read_text() if path.exists() else ""
            write_whole(path, before + "".join(json.dumps(x) + "\n" for x in lines))
            print(f"{time.strftime('%H:%M:%S')} {name}: {count} of {len(todo)} blocks", file=sys.stderr, flush=True)


def _path(out: Path, name: str) -> Path:
    return out / f"{name}-{digest(DESIGNS[name])}.jsonl"


def _truth_path(out: Path, name: str, seed: int) -> Path:
    text = json.dumps(asdict(DESIGNS[name]), sort_keys=True) + _code(Path(__file__).parent / "designs.py")
    return out / f"{name}-truth-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines())


def results(out: Path, name: str, seed: int) -> dict[tuple[str, str, str], dict[str, float]]:
    """Return {(level, kind, metric): n, defined, coverage, width, stretch} of a design."""
    true = json.loads(_truth_path(out, name, seed).read_text())
    rows: dict[tuple[str, str, str], list[Any]] = {}
    for line in _lines(_path(out, name)):
        rows.setdefault((line["level"], line["kind"], line["metric"]), []).extend(line["rows"])
    found = {}
    for (level, kind, metric), listed in rows.items():
        lo, hi, value = np.array(listed, dtype=np.float64).T
        t = true[level][metric]
        defined = ~np.isnan(lo)
        if not defined.any():
            found[level, kind, metric] = {"n": len(lo), "defined": 0, "coverage": np.nan, "width": np.nan}
            continue
        lo, hi, value = lo[defined], hi[defined], value[defined]
        with np.errstate(invalid="ignore", divide="ignore"):
            need = np.where(t < value, (value - t) / (value - lo), (t - value) / (hi - value))
        need = np.where(np.abs(t - value) < 1e-9, 0, need)
        stretch = float(np.quantile(need, 0.95, method="higher")) if len(need) else np.nan
        inside = (lo - 1e-6 <= t) & (t <= hi + 1e-6)
        found[level, kind, metric] = {
            "n": len(listed), "defined": int(defined.sum()), "coverage": float(inside.mean()),
            "width": float((hi - lo).mean()), "covering_width": float(stretch * (hi - lo).mean()),
            "below": float((t < lo).mean()), "above": float((t > hi).mean()), "truth": t,
        }  # fmt: skip
    return found


SHOWN = {"auc": "AUC", "bacc": "bal. ACC", "f1": "F1", "tpr5": "TPR at 5 %", "tpr1": "TPR at 1 %", "eer": "EER",
         "brier": "Brier", "difference": "difference", "worst": "worst cell"}  # fmt: skip
OTHERS = {"ap": "AP", "accuracy": "ACC", "precision": "precision", "tpr": "sensitivity", "tnr": "specificity",
          "mcc": "MCC", "logloss": "log loss", "ece": "ECE", "temperature": "temperature", "retention": "retention",
          "mean": "mean of conditions", "pooled": "all cells", "lean": "asymmetry",
          "bacc_difference": "diff. bal. ACC"}  # fmt: skip
GOAL, FEWEST = (0.93, 0.98), 12                 # coverage wanted in designs with at least this many pairs
GROUPS = (3, 12, 36, 140)                       # least number of pairs of each group of designs
LEAST_DEFINED = 0.05                            # share of the test sets that a coverage needs
BEGIN, END = "<!-- table of make coverage -->", "<!-- end of the table -->"
Results = dict[str, dict[tuple[str, str, str], dict[str, float]]]


def table(out: Path, names: list[str], seed: int, command: str) -> str:
    """Return the coverage and width of the intervals as Markdown, with what they were made from."""
    found = {name: results(out, name, seed) for name in names}
    places = [(name, level) for name in names for level in DESIGNS[name].levels]
    sets = [int(found[name][level, "jackknife", "auc"]["n"]) for name, level in places if found[name]]
    if not sets:
        raise click.ClickException(f"{out} holds no finished block of these sources; run it without --show")
    error = 100 * np.sqrt(0.95 * 0.05 / min(sets))
    note = (
        "Share of simulated test sets whose 95 % interval contains the true value; the mean width; and, where a "
        "bootstrap of pairs was drawn as well, the width over that of the bootstrap stretched until it covers (goal: "
        "at most 1.25; 0: no stretching helps, because it often has no width). Bold: outside "
        f"{GOAL[0]} to {GOAL[1]}. At least {min(sets)} test sets per design; Monte-Carlo standard error at .95 up to "
        f"{error:.1f} points. `-`: the design has no such number, or it is undefined in more than "
        f"95 % of its sets. Command: `{command}`; "
        f"commit {_commit()}."
    )
    parts = [note, _summary(found), _columns(found, places, SHOWN, True),
             "The other numbers with an interval, coverage only:", _columns(found, places, OTHERS, False)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _columns(found: Results, places: list[tuple[str, str]], titles: dict[str, str], widths: bool) -> str:
    lines = [f"| design, level | {' | '.join(titles.values())} |", "| --- " * (len(titles) + 1) + "|"]
    for name, level in places:
        cells = [_cell(found[name], level, metric, widths) for metric in titles]
        lines.append(f"| {name}, {level} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: dict[tuple[str, str, str], dict[str, float]], level: str, metric: str, widths: bool) -> str:
    own, other = (found.get((level, kind, metric)) for kind in ("jackknife", "bootstrap"))
    if not own or not _often_defined(own):
        return "-"
    coverage = f"{own['coverage']:.3f}"
    text = coverage if GOAL[0] <= own["coverage"] <= GOAL[1] else f"**{coverage}**"
    if widths:
        text += f", {own['width']:.3f}"
        if other and other["defined"]:
            text += f", {own['width'] / other['covering_width']:.2f}"
    some = "" if own["defined"] == own["n"] else f" ({own['defined']:.0f} of {own['n']:.0f})"
    return text + some


def _summary(found: Results) -> str:
    """Return the range of the coverage of each number over the designs with enough pairs, and by pairs, as a table."""
    groups = by_pairs(found)
    pairs = sorted({row.pairs for row in groups})
    names = [f"{low} pairs" if low == high else f"{low} to {high} pairs" for low, high in pairs]
    lines = [f"| number | {FEWEST} and more pairs | within the goal | below | above | {' | '.join(names)} |",
             "| --- | --- | ---: | ---: | ---: |" + " --- |" * len(names)]  # fmt: skip
    for metric, title in (SHOWN | OTHERS).items():
        shares = _shares(found, metric, FEWEST)
        if shares:
            low, high = sum(x < GOAL[0] for x in shares), sum(x > GOAL[1] for x in shares)
            ends = f"{min(shares):.3f} to {max(shares):.3f}"
            own = {row.pairs: f"{row.lowest:.3f} to {row.highest:.3f}" for row in groups if row.metric == title}
            inside = f"{len(shares) - low - high} of {len(shares)}"
            cells = [title, ends, inside, str(low), str(high), *(own.get(group, "-") for group in pairs)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shares(found: Results, metric: str, least: int, below: float = np.inf) -> list[float]:
    """Return the coverage of a metric in the designs with at least *least* and fewer than *below* pairs."""
    return [
        row["coverage"] for name, rows in found.items() for (_, kind, of), row in rows.items()
        if (kind, of) == ("jackknife", metric) and least <= DESIGNS[name].pairs < below and _often_defined(row)
    ]  # fmt: skip


def _often_defined(row: dict[str, float]) -> bool:
    """Return whether enough test sets have the number; which ones have it is no random choice where few do."""
    return row["defined"] >= LEAST_DEFINED * row["n"]


def by_pairs(found: Results) -> list[Row]:
    """Return the range of the coverage of each number in each group of designs."""
    rows = []
    for least, below in zip(GROUPS, (*GROUPS[1:], np.inf), strict=True):
        counts = [DESIGNS[name].pairs for name in found if least <= DESIGNS[name].pairs < below]
        for metric, title in (SHOWN | OTHERS).items():
            if shares := _shares(found, metric, least, below):
                ratios = _ratios(found, metric, least, below) if metric in SHOWN else []
                wide = sum(ratio > WIDEST for ratio in ratios)
                ends = round(min(shares), 3), round(max(shares), 3)
                widest = round(max(ratios, default=0.0), 2)
                rows.append(Row(title, (min(counts), max(counts)), *ends, widest, wide, len(ratios)))
    return rows


def _ratios(found: Results, metric: str, least: int, below: float) -> list[float]:
    """Return the widths of a metric over those of a bootstrap that covers; without designs in which none does."""
    ratios = []
    for name, rows in found.items():
        for (level, kind, of), row in rows.items():
            other = rows.get((level, "bootstrap", metric))
            shown = (kind, of) == ("jackknife", metric) and least <= DESIGNS[name].pairs < below and _often_defined(row)
            if shown and other and other["defined"] and np.isfinite(other["covering_width"]):
                ratios.append(row["width"] / other["covering_width"])
    return ratios


def write_module(path: Path, rows: Sequence[Row]) -> None:
    """Replace the rows in the module at *path*, which the page reads."""
    before = path.read_text(encoding="utf-8").split("ROWS: tuple")[0]
    lines = [
        f'    Row("{row.metric}", {row.pairs}, {row.lowest:.3f}, {row.highest:.3f}'
        + (f", {row.widest:.2f}, {row.wide}, {row.measured})," if row.measured else "),")
        for row in rows
    ]
    write_whole(path, "\n".join([before + "ROWS: tuple[Row, ...] = (", *lines, ")", ""]))


def _commit() -> str:
    """Return the commit of the working tree, with what was changed since."""
    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=here)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "../../packages/evaluation/src", ".")
    except (OSError, subprocess.CalledProcessError):
        return "not known (no git repository)"
    return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")


def write_table(path: Path, text: str) -> None:
    """Replace the text between the two marks of the file at *path*."""
    old = path.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise click.ClickException(f"{path}: needs one line {BEGIN!r} and one line {END!r}; the table goes between")
    before, after = old.split(BEGIN)[0], old.split(END)[1]
    write_whole(path, f"{before}{BEGIN}\n{text}{END}{after}")


@click.command("coverage")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--designs", default=",".join(DESIGNS), help="Names of designs, separated by commas; by default all.")
@click.option("--repetitions", default=1000, show_default=True, help="Test sets per design, in blocks of 100.")
@click.option("--bootstrap", "boot", default=200, show_default=True, help="Test sets that get a bootstrap too.")
@click.option("--replicates", default=300, show_default=True, help="Replicates of that bootstrap.")
@click.option("--seed", default=1, show_default=True, help="Seed of all random numbers.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
@click.option("--show", is_flag=True, help="Simulate nothing; print the finished results, with the bootstrap's widths.")
@click.option("--table", "path", type=click.Path(path_type=Path, exists=True), help="Markdown file for the table.")
@click.option("--module", type=click.Path(path_type=Path, exists=True), help="Module with the ranges for the page.")
def command(
    out: Path, designs: str, repetitions: int, boot: int, replicates: int, seed: int, jobs: int, show: bool,
    path: Path | None, module: Path | None,
) -> None:  # fmt: skip
    """Simulate test sets with known truth and count how often the intervals contain it. OUT keeps finished blocks."""
    names = designs.split(",")
    unknown = sorted(set(names) - set(DESIGNS))
    if unknown:
        raise click.UsageError(f"no design {', '.join(unknown)}; there are {', '.join(DESIGNS)}")
    if show:
        names = [name for name in names if _path(out, name).exists() and _truth_path(out, name, seed).exists()]
        for name in names:
            click.echo("\n".join(_described(name, results(out, name, seed))))
    else:
        run(out, names, repetitions, seed, jobs, boot, replicates)
    if path:
        options = f"--repetitions {repetitions} --bootstrap {boot} --replicates {replicates} --seed {seed}"
        write_table(path, table(out, names, seed, f"python -m tools coverage OUT {options}"))
    if module:
        write_module(module, by_pairs({name: results(out, name, seed) for name in names}))


def _described(name: str, found: dict[tuple[str, str, str], dict[str, float]]) -> Iterator[str]:
    for (level, kind, metric), r in found.items():
        line = f"{name:11} {level:5} {metric:16} {kind:9} {r['defined']:4} of {r['n']:4}"
        if r["defined"]:
            line += (
                f" coverage {r['coverage']:.3f} (truth below {r['below']:.3f}, above {r['above']:.3f}) width "
                f"{r['width']:.4f}, of an interval stretched until it covers {r['covering_width']:.4f}"
            )
        yield line
