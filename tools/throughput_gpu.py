"""Throughput of training, loading and inference on a GPU: one command, all numbers in one table.

    python -m tools.throughput_gpu --out out/gpu        about 40 minutes on an H100 or H200
    python -m tools.throughput_gpu --list               what it will run

Every line is a command that takes less than 10 minutes and writes its result to OUT as JSON. Finished lines are
skipped, so an interrupted run can be resumed. OUT/gpu.md is rewritten after each line.

What is measured: EfficientNet-B4 and the multi-attentional detector at 380 px, MesoNet at 256 px, over batch sizes and
precisions, compiled or not; loader threads; training on packed crops with and without JPEG on the fly (share of the
time spent waiting for data); inference; the loops of timm and DeepfakeBench on the same GPU. What is checked: a run
that is killed and resumed ends with the same bytes (deterministic mode), and no step between two log lines makes the
host wait for the device.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINE_SECONDS = 600
PARAMS = "train: {deterministic: false, dropout: null, paired: false}\n"
RESUMED = """model: %s
train: {steps: 60, batch_size: %d, dropout: null, paired: false, eval_every: 60, log_every: 10, deterministic: true,
  amp: %s, histories: none, checkpoint: {every_steps: 5}}
"""


@dataclass(frozen=True)
class Plan:
    """Sizes of everything. The small one is for trying the script out on a CPU."""

    models: tuple[tuple[str, int], ...]  # the first is measured in all variants
    batches: tuple[int, ...]
    amps: tuple[str, ...]
    threads: tuple[int, ...]
    seconds: float
    crops: int


FULL = Plan(
    (("efficientnet_b4", 380), ("multi_attention", 380), ("meso4", 256), ("mesoinception4", 256)),
    (32, 64, 128, 256),
    ("bf16", "fp16", "off"),
    (1, 2, 4, 8, 16),
    10.0,
    4000,
)
QUICK = Plan((("meso4", 48),), (4,), ("off",), (1,), 0.2, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--list", action="store_true", help="print the commands without running them")
    parser.add_argument("--quick", action="store_true", help="Meso4 at 48 px for a few seconds, on any device")
    parser.add_argument("--resume", nargs=4, metavar=("MODEL", "BATCH", "AMP", "CROPS"), help=argparse.SUPPRESS)
    parser.add_argument("--waits", nargs=3, metavar=("MODEL", "BATCH", "CROPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    out: Path = options.out.resolve()
    if options.resume:
        print(json.dumps(check_resume(out, *options.resume)))
        return
    if options.waits:
        print(json.dumps(check_waits(out, *options.waits)))
        return
    plan = QUICK if options.quick else FULL
    planned = lines(plan, out, compiled=not options.quick)
    if options.list:
        print("\n".join(shown(command) for command in planned.values()))
        return
    if not options.quick and not cuda():
        parser.exit(1, "no CUDA device here; --quick tries the script out on a CPU\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "params.yaml").write_text(PARAMS)
    draw(plan, out)
    failed = []
    for name, command in planned.items():
        if not (out / f"{name}.json").exists() and not run(name, command, out):
            failed.append(name)
        (out / "gpu.md").write_text(table(planned, out))
    print(out / "gpu.md")
    broken = [name for name in planned if name not in failed and not holds(out / f"{name}.json")]
    if failed or broken:
        text = f"failed: {failed or 'none'}, checks that do not hold: {broken or 'none'}"
        parser.exit(1, f"{text}; see the .log files in {out}\n")


def holds(result: Path) -> bool:
    return bool(json.loads(result.read_text()).get("holds", True))


def cuda() -> bool:
    code = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code]).returncode == 0


def draw(plan: Plan, out: Path) -> None:
    """Write packed crops of every size, if they are not there."""
    from tools.throughput import draw_crops

    for size in {size for _, size in plan.models}:
        if not (out / f"crops-{size}" / "index.csv").exists():
            draw_crops(out / f"crops-{size}", size, plan.crops)


def lines(plan: Plan, out: Path, *, compiled: bool) -> dict[str, list[str]]:
    """Return the commands by name, in order."""
    found: dict[str, list[str]] = {}
    largest = max(plan.threads)

    def rate(name: str, model: str, size: int, batch: int, *more: object) -> None:
        command = [sys.executable, "-m", "tools", "throughput", "--params", out / "params.yaml", "--model", model]
        command += ["--crops", out / f"crops-{size}", "--batch", batch, "--seconds", plan.seconds, *more]
        found[name] = [str(part) for part in command] + ["--json", str(out / f"{name}.json")]

    first, size = plan.models[0]
    for batch in plan.batches:
        for amp in plan.amps:
            rate(f"train-{first}-{batch}-{amp}", first, size, batch, "--amp", amp, "--mode", "synthetic")
    amp = plan.amps[0]
    for model, side in plan.models[1:]:
        for batch in (plan.batches[0], plan.batches[-1]):
            rate(f"train-{model}-{batch}-{amp}", model, side, batch, "--amp", amp, "--mode", "synthetic")
    for batch in (plan.batches[0], plan.batches[len(plan.batches) // 2], plan.batches[-1]) if compiled else ():
        name = f"train-{first}-{batch}-{amp}-compiled"
        rate(name, first, size, batch, "--amp", amp, "--compile", "--mode", "synthetic")
    loops = [part for mode in ("synthetic", "bare", "itemized", "plain") for part in ("--mode", mode)]
    rate(f"loops-{first}", first, size, plan.batches[0], "--amp", amp, *loops)
    for threads in plan.threads:
        rate(f"loader-{threads}", first, size, plan.batches[-1], "--mode", "loader", "--loader-threads", threads)
    for probability in (0, 0.5):
        more = ("--amp", amp, "--mode", "data", "--mode", "synthetic", "--loader-threads", largest)
        name = f"data-{first}-recompress-{probability}"
        rate(name, first, size, plan.batches[-1], *more, "--recompress", probability)
    for batch in (2, plan.batches[0], plan.batches[-1]):
        rate(f"infer-{first}-{batch}", first, size, batch, "--amp", amp, "--mode", "infer")
    script = [sys.executable, "-m", "tools.throughput_gpu", "--out", str(out)]
    for model, side in plan.models:
        smallest, crops = str(plan.batches[0]), str(out / f"crops-{side}")
        found[f"waits-{model}"] = [*script, "--waits", model, smallest, crops]
        for amp in dict.fromkeys((plan.amps[0], plan.amps[-1])):
            found[f"resume-{model}-{amp}"] = [*script, "--resume", model, smallest, amp, crops]
    return found


def shown(command: list[str]) -> str:
    """Return *command* as one types it in the repository's folder."""
    return shlex.join(["python", *command[1:]]).replace(f"{ROOT}/", "")


def run(name: str, command: list[str], out: Path) -> bool:
    """Run one line; its standard output and errors go to a .log, a check's last line to its .json."""
    print(shown(command), flush=True)
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(out / "inductor")}
    with (out / f"{name}.log").open("w+") as log:
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdout=log, stderr=log, env=environment, timeout=LINE_SECONDS
            )
        except subprocess.TimeoutExpired:
            log.write(f"\nnot done after {LINE_SECONDS} s\n")
            return False
        log.seek(0)
        said = log.read().splitlines()
    if done.returncode == 0 and not (out / f"{name}.json").exists():
        (out / f"{name}.json").write_text(said[-1] + "\n")
    return done.returncode == 0


# -- checks: run in a process of their own -----------------------------------------------------------------------------


def check_resume(out: Path, model: str, batch: str, amp: str, crops: str) -> dict[str, Any]:
    """Train twice, once killed at step 35 of 60 and resumed, and compare the bytes of the weights."""
    from detector.data.files import sha256

    sums = {}
    for name in ("alone", "killed"):
        folder = out / f"resume-{model}-{amp}" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(RESUMED % (model, int(batch), amp))
        command = [sys.executable, "-m", "detector.cli", "train", str(Path(crops).resolve()), "out/train"]
        if name == "killed":
            process = subprocess.Popen(command, cwd=folder, start_new_session=True)
            while process.poll() is None and not list(folder.glob("out/checkpoints/*/step-00000035.pt")):
                time.sleep(0.01)
            killed = process.poll() is None
            if killed:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(command, cwd=folder, check=True)
        sums[name] = sha256(folder / "out/train/weights.safetensors")
    same = killed and sums["alone"] == sums["killed"]
    return {"check": f"{model} {amp} killed at step 35 of 60 ends in the same bytes", "holds": same}


def check_waits(out: Path, model: str, batch: str, crops: str) -> dict[str, Any]:
    """Run 20 training steps in which torch raises an error at any host-device synchronisation."""
    import dataclasses

    import torch

    from detector.config import read_params
    from detector.training.distributed import Processes
    from detector.training.progress import Progress
    from detector.training.run import describe_run
    from detector.training.signals import StopSignals
    from detector.training.trainer import Trainer, set_up_torch

    params = read_params(out / "params.yaml")
    train = dataclasses.replace(params.train, batch_size=int(batch), histories=None)
    params = dataclasses.replace(params, model=model, train=train)
    with Processes() as processes, StopSignals() as signals:
        set_up_torch(params, processes.device)
        run_ = describe_run(params, Path(crops), processes.device)
        folder = out / "waits"
        trainer = Trainer(params, Path(crops), run_, processes, signals, 4, folder, Progress(train.steps))
        plan = ((step, trainer.order.batch(step)) for step in range(25))
        with closing(trainer.loader.batches(plan)) as batches:
            for given in batches:
                if given.step == 5 and processes.device.type == "cuda":
                    torch.cuda.set_sync_debug_mode("error")
                trainer._update(given)
        if processes.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return {"check": f"{model}: 20 steps on {processes.device.type} without the host waiting for it", "holds": True}


# -- the table ---------------------------------------------------------------------------------------------------------


def table(planned: dict[str, list[str]], out: Path) -> str:
    """Return the results so far as Markdown: environment, rates, checks, commands."""
    files = {name: out / f"{name}.json" for name in planned}
    results = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    rates = {name: result for name, result in results.items() if "results" in result}
    text = [f"{datetime.date.today().isoformat()}, {len(results)} of {len(planned)} lines."]
    if rates:
        one = next(iter(rates.values()))
        versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        text += [f"{one['device']}, {one['cores']} cores; {versions}; commit {one['commit']}.", ""]
    text += ["| line | mode | img/s | min .. max | ms a step | waiting for data | peak GB | TFLOP/s | GPU % | W |"]
    text += ["|---|---|---|---|---|---|---|---|---|---|"]
    for name, result in rates.items():
        text += [_row(name, result, row) for row in result["results"]]
    text += ["", "| check | holds |", "|---|---|"]
    for name in planned:
        if name in results and name not in rates:
            text.append(f"| {results[name]['check']} | {'yes' if results[name]['holds'] else 'NO'} |")
    missing = [name for name in planned if name not in results]
    if missing:
        text += ["", f"Not there: {', '.join(missing)}."]
    return "\n".join([*text, "", "Commands:", "", "```", *map(shown, planned.values()), "```", ""])


def _row(name: str, result: dict[str, Any], row: dict[str, Any]) -> str:
    rate = row["images_per_second"]
    passes = 0 if row["mode"] == "loader" else 1 if row["mode"] == "infer" else 3
    least, most = row["images_per_second_min"], row["images_per_second_max"]
    cells = [name, row["mode"], f"{rate:.0f}", f"{least:.0f} .. {most:.0f}"]
    cells.append(f"{1e3 * result['batch'] / rate:.1f}")
    cells.append(f"{row['stall_share']:.1%}" if "stall_share" in row else "")
    cells.append(f"{row['peak_memory_bytes'] / 1e9:.1f}")
    cells.append(f"{2e-12 * passes * result['macs'] * rate:.1f}" if passes else "")
    cells += [f"{row[key]:.0f}" if key in row else "" for key in ("gpu_percent", "watts")]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
