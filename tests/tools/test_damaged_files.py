"""Any content of any file that a command reads is read, or refused in one line that names the file.

The commands and their paths are found in the command lines themselves, and every file that one opens must be among
those that are damaged. `tests/evaluation/test_places.py` does the same with written inputs of `evaluation`.
Over 600 lines: the table of the cases, and the inputs of all commands.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data as photographs

from detector.data.index import read_index, write_index
from detector.data.png import encode_png
from detector.data.slurm import read_settings
from detector.errors import DetectorError
from detector.experiments import read_index as read_experiments
from detector.serve.command import read_token
from detector.training.checkpoint import Checkpoints
from evaluation import page
from evaluation.sums import KEY, SUMS, write_sums
from tools.faults.damage import without_hashes
from tools.faults.everywhere import Change, bytewise, values
from tools.unlock import command as unlock

from .test_unusual_paths import CLICK, at_most, places, run, write_inputs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the commands include those for Linux alone")

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # after which a command counts as hanging
FAST = 2  # damages of each file in the fast test
BITS = 60  # flipped bits of each file in the trial, and as many cuts
FEW = 2  # pictures of a folder that are damaged
UNHASHED = (".png", ".mp4", ".yaml", "rwlock")  # files without a hash, of which all values are tried too
# of what Python calls its values and errors: a message has the words of the file's format
PYTHON = re.compile(
    r"(?:^|[ (\[])b'(?! )|Path\('|<class |<function | object at 0x|NoneType|\[Errno|\b(?:None|True|False)\b|\w+Error\b"
)
Damage = tuple[str, str, Change]  # a file, the name of a change, and the change
COMMANDS = {
    "read_token": lambda path: read_token(Path(path)),
    "read_settings": lambda path: read_settings(Path(path)),
    "read_experiments": lambda path: read_experiments(Path(path)),
    "tools unlock": lambda path: unlock.main([path], standalone_mode=False),
}


@dataclass(frozen=True)
class Case:
    """A command line, of which `reads` are the paths of inputs and `writes` those of outputs.

    lost: outputs that are removed before the work begins, as docs/reliability.md says. several: an error may take
    several lines, one for each input. fresh: outputs that are not there when the command begins. slow: only in the
    whole trial.
    """

    line: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    several: bool = False
    fresh: tuple[str, ...] = ()
    slow: bool = False

    @property
    def command(self) -> str:
        words = self.line.split()
        found = [" ".join(words[:n]) for n in (3, 2, 1)]
        return next(name for name in found if name in CLICK or name in COMMANDS)


def case(line: str, reads: str, writes: str = "", **options: object) -> Case:
    return Case(line, tuple(reads.split()), tuple(writes.split()), **options)  # type: ignore[arg-type]


CASES = {
    "faces": case(
        "detector faces photos w/cut --executor serial --workers 1 --params params.yaml", "photos params.yaml", "w/cut"
    ),
    "show folders": case("detector dataset show photos", "photos"),
    "show listed": case("detector dataset show listed", "listed"),
    "show splits": case("detector dataset show ffpp", "ffpp"),
    "show celebdf": case("detector dataset show celebdf", "celebdf"),
    "show dfdc": case("detector dataset show dfdc", "dfdc"),
    "show file": case("detector dataset show bench.json --root bench", "bench.json bench"),
    "add": case(
        "detector dataset add photos w/data --params params.yaml --until faces",
        "photos params.yaml w/data",
        "w/data",
        lost=("w/data",),
        slow=True,
    ),
    "audit": case(
        "detector audit cut w/audit --data photos --passed w/audit.passed --executor serial --params params.yaml",
        "cut photos params.yaml",
        "w/audit w/audit.passed",
        lost=("w/audit.passed",),
    ),
    "compress": case(
        "detector compress faces w/jpeg --executor serial --params params.yaml", "faces params.yaml", "w/jpeg"
    ),
    "compress parquet": case(
        "detector compress columns w/columns --executor serial", "columns params.yaml", "w/columns"
    ),
    "fidelity": case(
        "detector fidelity faces w/fidelity w/fidelity.json --executor serial --params params.yaml",
        "faces params.yaml",
        "w/fidelity w/fidelity.json",
    ),
    "train": case(
        "detector train compressed w/train --faces faces --history w/history.csv --checkpoints checkpoints"
        " --params params.yaml",
        "compressed faces params.yaml checkpoints",
        "w/train w/history.csv",
        fresh=("w/train", "w/history.csv"),
        lost=("checkpoints",),
    ),
    "train again": case(
        "detector train compressed w/train --faces faces --history w/history.csv --checkpoints checkpoints"
        " --params params.yaml",
        "w/train compressed faces params.yaml checkpoints",
        "w/train w/history.csv",
        lost=("w/train", "w/history.csv"),
        slow=True,
    ),
    "score": case(
        "detector score faces train w/scores.csv --table parquet --executor serial --params params.yaml",
        "faces train params.yaml",
        "w/scores.csv w/scores.json w/scores.parquet",
    ),
    "explain": case(
        "detector explain faces train w/explain --executor serial --params params.yaml --features 4 --faces-measured 2",
        "faces train params.yaml",
        "w/explain",
    ),
    "predict": case(
        "detector predict image.png --aligned --train train --out w/answers.jsonl --evidence w/evidence"
        " --params params.yaml",
        "image.png train params.yaml w/answers.jsonl w/evidence",
        "w/answers.jsonl w/evidence",
        several=True,
        lost=("w/answers.jsonl",),
    ),
    "export": case("detector export train w/model.onnx", "train", "w/model.onnx", slow=True),
    "convert-keras": case("detector convert-keras meso4 weights.h5 w/keras", "weights.h5", "w/keras"),
    "plan": case(
        "detector plan --videos 10 --calibration calibration.json --params params.yaml", "calibration.json params.yaml"
    ),
    "plan data": case("detector plan photos --calibration calibration.json", "photos calibration.json params.yaml"),
    "verify": case("detector verify faces", "faces", several=True),
    "verify parquet": case("detector verify columns", "columns", several=True),
    "pack": case("detector pack bench.json w/packed --root bench", "bench.json bench", "w/packed"),
    "unpack": case("detector unpack faces w/unpacked", "faces", "w/unpacked", lost=("w/unpacked",)),
    "contact-sheet": case("detector contact-sheet faces w/sheet.png", "faces", "w/sheet.png"),
    "serve": case("read_token token", "token"),
    "executor slurm": case("read_settings slurm.yaml", "slurm.yaml"),
    "grid": case("read_experiments experiments.csv", "experiments.csv"),
    "unlock": case("tools unlock repository", "repository", "repository"),
    "metrics": case(
        "evaluation metrics scores.csv w/metrics.json --tables w/tables --headline w/headline.json --quiet"
        " --replicates 2",
        "scores.csv scores.json",
        "w/metrics.json w/tables w/headline.json",
    ),
    "metrics parquet": case(
        "evaluation metrics scores.parquet w/columnar.json --quiet --replicates 2",
        "scores.parquet scores.json",
        "w/columnar.json",
    ),
    "import": case("evaluation import scores.csv w/imported.csv", "scores.csv", "w/imported.csv"),
    "show": case("evaluation show metrics.json tables", "metrics.json tables"),
    "report": case(
        "evaluation report w/report --metrics metrics.json --scores scores.csv --tables tables --fidelity fidelity"
        " --fidelity-summary fidelity.json --faces faces/summary.json --failures failures.csv --training train"
        " --explain explain --audit audit/audit.json --crops faces --versus scores.csv",
        "metrics.json scores.csv scores.json tables fidelity fidelity.json faces failures.csv train explain audit",
        "w/report",
    ),
    "seeds": case(
        "evaluation seeds a=scores.csv,scores.csv --dataset dataset.json --replicates 2", "scores.csv dataset.json"
    ),
    "evaluation grid": case(
        "evaluation grid experiments.csv --fidelity fidelity.json --dataset dataset.json --replicates 2",
        "experiments.csv scores.csv fidelity.json dataset.json",
    ),
    "compare": case("evaluation compare a=scores.csv b=scores.csv --dataset dataset.json", "scores.csv dataset.json"),
}
# paths of inputs without a case, and why
LEFT_OUT = {
    "detector dataset add root": "is read as by detector dataset show",
    "detector grid": "its index is the case grid; the parameters are read as by the stages",
    "detector serve": "the token is the case serve; model and parameters are read as by detector predict",
    "evaluation show page": "its path is printed",
}


def photographs_of(folder: Path) -> None:
    """Write four people as one photograph under different light: real, and forged by a blur of the middle."""
    import cv2

    image = np.ascontiguousarray(photographs.astronaut()[:240, 65:385])
    for person in range(4):
        lit = np.clip(image * (0.7 + 0.1 * person), 0, 255).astype(np.uint8)
        forged = lit.copy()
        forged[90:150, 130:190] = cv2.GaussianBlur(forged[90:150, 130:190], (0, 0), 2)
        for kind, pixels in (("real", lit), ("fake", forged)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{person}.png").write_bytes(encode_png(pixels))
    rows = "".join(f"{kind}/{n}.png,p{n}\n" for kind in ("real", "fake") for n in range(4))
    (folder / "identities.csv").write_text(f"path,identity\n{rows}")
    (folder / "dataset.json").write_text('{"name": "photographs", "synthetic": true, "note": "one person"}')


def manifests() -> None:
    """Write a small tree of each layout, with files that are images or videos by their first bytes."""
    video = b"\0\0\0\x18ftypisom" + bytes(64)

    def put(path: str, content: bytes | str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)

    rows = []
    for n in range(3):
        split = ("train", "val", "test")[n]
        for label in ("real", "fake"):
            put(f"listed/{label}{n}.png", encode_png(np.full((8, 8, 3), 2 * n + (label == "fake"), np.uint8)))
            rows.append(f"{label}{n}.png,{label},{'swap' if label == 'fake' else ''},v{label}{n},p{n},{split}\n")
        a, b = f"{2 * n:03d}", f"{2 * n + 1:03d}"
        put(f"ffpp/splits/{split}.json", f'[["{a}", "{b}"]]')
        for one, other in ((a, b), (b, a)):
            put(f"ffpp/original_sequences/youtube/c23/videos/{one}.mp4", video)
            put(f"ffpp/manipulated_sequences/Deepfakes/c23/videos/{one}_{other}.mp4", video)
        put(f"celebdf/Celeb-real/id{n}_000{n}.mp4", video)
        put(f"celebdf/YouTube-real/0000{n}.mp4", video)
        put(f"celebdf/Celeb-synthesis/id{n}_id{(n + 1) % 3}_000{n}.mp4", video)
        put(f"dfdc/part_{n}/real{n}.mp4", video)
        put(f"dfdc/part_{n}/fake{n}.mp4", video)
        entries = f'"fake{n}.mp4": {{"label": "FAKE", "original": "real{n}.mp4", "split": "train"}}'
        put(f"dfdc/part_{n}/metadata.json", f'{{"real{n}.mp4": {{"label": "REAL", "split": "train"}}, {entries}}}')
        for label in ("D_real", "D_fake"):
            put(f"bench/{label}/{n}/0.png", encode_png(np.full((32, 32, 3), n, np.uint8)))
    put("listed/manifest.csv", "path,label,method,video,identity,split\n" + "".join(rows))
    put("celebdf/List_of_testing_videos.txt", "1 YouTube-real/00002.mp4\n0 Celeb-synthesis/id2_id0_0002.mp4\n")
    for folder in ("ffpp", "listed", "celebdf", "dfdc"):
        put(f"{folder}/dataset.json", '{"name": "n", "synthetic": true, "note": null}')
    import json

    splits = ("train", "val", "test")
    content = {
        label: {
            split: {"c23": {f"{n}": {"label": label, "frames": [f"{label}/{n}/0.png"], "masks": []}}}
            for n, split in enumerate(splits)
        }
        for label in ("D_real", "D_fake")
    }
    put("bench.json", json.dumps({"D": content}))
    put("bench/dataset.json", '{"name": "n", "synthetic": true, "note": null}')


def write_keras(path: Path) -> None:
    """Write the weights of a Meso4 as Keras does."""
    import h5py

    rng = np.random.default_rng(3)
    shapes = {"dense_1": {"kernel": (1024, 16), "bias": (16,)}, "dense_2": {"kernel": (16, 1), "bias": (1,)}}
    for n, (size, channels, out) in enumerate([(3, 3, 8), (5, 8, 8), (5, 8, 16), (5, 16, 16)], 1):
        shapes[f"conv2d_{n}"] = {"kernel": (size, size, channels, out), "bias": (out,)}
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        shapes[f"batch_normalization_{n}"] = dict.fromkeys(names, (out,))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in shapes])
        for name, arrays in shapes.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/{key}:0".encode() for key in arrays])
            for key, shape in arrays.items():
                group[f"{name}/{key}:0"] = rng.uniform(0.1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """The page without its figures, which take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        real = page.chart
        for module in [module for name, module in sys.modules.items() if name.startswith("evaluation.")]:
            if getattr(module, "chart", None) is real:
                patch.setattr(module, "chart", lambda *_: page.NOTHING)
        yield


def invoke(line: str) -> tuple[int, str]:
    """Return the exit status and all that was printed; other exceptions than SystemExit and `DetectorError` pass."""
    words = line.split()
    name = " ".join(words[:-1])
    if name not in COMMANDS:
        return run(words[0], words[1:])
    result = CliRunner().invoke(click.Command(name, callback=partial(_called, name, words[-1])), [])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def _called(name: str, path: str) -> None:
    try:
        COMMANDS[name](path)
    except DetectorError as error:
        raise click.ClickException(str(error)) from None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder with the inputs and outputs of all cases; `opened` are the files that each has opened."""
    root = tmp_path_factory.mktemp("damaged") / "whole"
    root.mkdir()
    patch = pytest.MonkeyPatch()
    with contextlib.chdir(root):
        write_inputs()
        photographs_of(Path("photos"))
        manifests()
        write_keras(Path("weights.h5"))
        patch.setattr(Checkpoints, "remove", lambda _: None)
        shutil.rmtree("train")
        prepare()
        patch.undo()
        Path("w").mkdir()
        opened.clear()
        shutil.copytree("checkpoints", "kept")
        trials = pytestconfig.getoption("--trials")
        for name, one in [(name, one) for name, one in CASES.items() if trials or not one.slow]:
            shutil.copytree("kept", "checkpoints", dirs_exist_ok=True)  # a training that ends removes them
            with recorded(name):
                code, said = invoke(one.line)
            assert code == 0, f"{name}: {said}"
        shutil.copytree("kept", "checkpoints", dirs_exist_ok=True)
        shutil.rmtree("kept")
    return root


def prepare() -> None:
    """Write what the cases read with the commands that write it."""
    shutil.copytree("faces", "columns")
    write_index("columns/index.csv", read_index("faces"), "parquet")
    write_sums("columns")
    Path("dataset.json").write_text('{"name": "n", "synthetic": true, "note": null}')
    Path("failures.csv").write_text("video,frame,reason\nDeepfakes/000_001,12,no face found\n")
    Path("token").write_text("0123456789abcdef0123456789abcdef\n")
    Path("slurm.yaml").write_text(
        "memory: 16GB\nwalltime: '01:00:00'\njobs: 2\ncores: 2\nprocesses: 1\nqueue: q\naccount: null\n"
        "interface: lo\npython: python3\nlogs: logs\ndirectives: ['--x=1']\nprologue: ['module load x']\n"
    )
    Path("repository/.dvc/tmp").mkdir(parents=True)
    Path("repository/.dvc/config").write_text("")
    Path("repository/.dvc/tmp/rwlock").write_text('{"out": {"write": {"pid": 1, "cmd": "dvc repro"}, "read": []}}')
    shutil.copy(ROOT / "tools/scale/calibration.json", "calibration.json")
    shutil.rmtree("tables")
    for line in (
        "detector faces photos cut --executor serial --workers 1",
        "detector audit faces audit --executor serial",
        "detector fidelity faces fidelity fidelity.json --executor serial",
        "detector train compressed train --faces faces --history history.csv --checkpoints checkpoints",
        "detector score faces train scores.csv --table parquet --executor serial",
        "detector explain faces train explain --executor serial --features 4 --faces-measured 2",
        "evaluation metrics scores.csv metrics.json --tables tables --replicates 2",
    ):
        code, said = invoke(line)
        assert code == 0, f"{line}: {said}"


# -- the files that are opened -----------------------------------------------------------------------------------------

opened: dict[str, set[str]] = {}
_current: list[str] = []


@contextlib.contextmanager
def recorded(name: str) -> Iterator[None]:
    """Record the files below the working folder that are opened for reading."""
    if not opened:
        sys.addaudithook(_hook)
    opened.setdefault(name, set())
    _current.append(name)
    try:
        yield
    finally:
        _current.remove(name)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _current or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    path, mode, flags = arguments
    if (isinstance(mode, str) and "r" not in mode) or (isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY):
        return
    full = Path.cwd() / os.fsdecode(path)  # type: ignore[arg-type]
    if full.is_relative_to(Path.cwd()):
        opened[_current[-1]].add(os.path.relpath(full))


def read_by(name: str) -> list[str]:
    """Return the files that the case reads: those below its inputs, of many pictures in a folder only a few."""
    found, pictures = [], {}
    for given in CASES[name].reads:
        paths = sorted(Path(given).rglob("*")) if Path(given).is_dir() else [Path(given)]
        for path in paths:
            if not path.is_file() or not path.stat().st_size:
                continue
            if path.suffix in (".png", ".mp4"):
                pictures[path.parent] = pictures.get(path.parent, 0) + 1
                if pictures[path.parent] > FEW:
                    continue
            found.append(str(path))
    return found


# -- trials ------------------------------------------------------------------------------------------------------------


def listing() -> dict[str, tuple[int, int, int]]:
    """Return what is in the working folder: size, time and inode of each file."""
    found = ((path, path.lstat()) for path in Path().rglob("*"))
    return {str(path): (s.st_size, s.st_mtime_ns, s.st_ino) for path, s in found if not path.is_dir()}


def restore(whole: Path, before: dict[str, tuple[int, int, int]]) -> None:
    """Undo what a trial has changed in the working folder, a copy of *whole*."""
    after = listing()
    for name in {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}:
        if (whole / name).is_file():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(whole / name, name)
        else:
            Path(name).unlink()


def tried(whole: Path, one: Case, name: str, change: Change, hashed: bool) -> str:
    """Return what is wrong with the outcome of the command if the file *name* is changed; empty text if nothing is."""
    path = Path(name)
    kept = path.read_bytes()
    try:
        changed = change(kept)
    except (UnicodeDecodeError, IndexError):
        return ""
    if changed == kept:
        return ""
    path.write_bytes(changed)
    for gone in one.fresh:
        shutil.rmtree(gone) if Path(gone).is_dir() else Path(gone).unlink()
    before = listing()
    seconds = 10 if "detector train" in one.line and name == "params.yaml" else SECONDS
    try:
        with at_most(seconds):
            code, said = invoke(one.line)
        after = listing()
        return judged(one, name, code, said, before, after) or (
            different(whole, one) if hashed and code == 0 and has_hash(whole / name) else ""
        )
    except TimeoutError:
        # fewer parameters than the sample's: a training of thousands of steps
        return "" if "detector train" in one.line and name == "params.yaml" else f"hangs for {seconds} s"
    except Exception as error:
        return f"{type(error).__name__}: {error!s:.300}"
    finally:
        for gone in one.fresh:
            before |= {str(file.relative_to(whole)): (0, 0, 0) for file in files_below(whole / gone)}
        before[name] = (0, 0, 0)
        restore(whole, before)


def files_below(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def judged(
    one: Case,
    name: str,
    code: int,
    said: str,
    before: dict[str, tuple[int, int, int]],
    after: dict[str, tuple[int, int, int]],
) -> str:
    """Return what is wrong with the end of a command, its words and what it has changed."""
    if "Traceback" in said or "Exception ignored" in said or code not in (0, 1, 2, 3):
        return f"ended with {code}: {said[-600:]}"
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    if code == 0:
        return "" if (left := _leftover(changed, one.writes)) is None else f"left behind: {left}"
    lost = [path for path in changed if not path.startswith(one.lost) and not _is_work(path)]
    if lost and code != 3:
        return f"changed in spite of the error: {sorted(lost)[:5]} ({said.strip()[-300:]})"
    error = said[said.rfind("Error: ") :].strip()
    if not one.several and (not error.startswith("Error: ") or "\n" in error or len(error) > 1500):
        return f"not one line: {said[-800:]!r}"
    if found := PYTHON.search(error):
        return f"shows {found.group()!r} of Python: {error:.400}"
    if not any(part in said for part in {Path(name).name, str(Path(name).parent), *(r for r in one.reads)}):
        return f"names no file: {error:.400}"
    return ""


def _is_work(path: str) -> bool:
    """Whether *path* is of the tasks that the next run finds, or a lock."""
    return any(part.endswith((".work", ".lock")) or part == "lock" for part in Path(path).parts)


def _leftover(changed: set[str], writes: tuple[str, ...]) -> str | None:
    return next(
        (
            path
            for path in sorted(changed)
            if not path.startswith((*writes, "checkpoints", "logs")) and not _is_work(path)
        ),
        None,
    )


def has_hash(path: Path) -> bool:
    """Whether a change of the file is noticed: the others may be read as they are."""
    sums = path.parent / SUMS
    listed = sums.is_file() and f"  {path.name}\n" in sums.read_text(encoding="utf-8")
    sealed = path.suffix == ".json" and KEY in path.read_text(encoding="utf-8")
    return listed or sealed or path.suffix in (".tar", ".parquet", ".safetensors") or path.parent.name == "tables"


def different(whole: Path, one: Case) -> str:
    """Return which output of success differs from that of the whole input."""
    for given in one.writes:
        for path in files_below(whole / given):
            here = path.relative_to(whole)
            if not here.is_file() or digest(here) != digest(path):
                return f"accepted, with another {here}"
    return ""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wrong_in(
    name: str, whole: Path, folder: Path, chosen: Callable[[list[Damage]], list[Damage]], most: int
) -> tuple[int, dict[str, str]]:
    """Return how many damages were tried and what is wrong, with the hashes that stages leave and without."""
    number, found = 0, dict[str, str]()
    one = CASES[name]
    for hashed in (True, False):
        work = folder / ("hashed" if hashed else "plain")
        shutil.copytree(whole, work)
        if not hashed:
            without_hashes(work)
            shutil.rmtree(work / "w")
            shutil.copytree(whole / "w", work / "w")
        kept = folder / f"{work.name}-whole"
        shutil.copytree(work, kept)
        with contextlib.chdir(work):
            every: list[Damage] = []
            for file in read_by(name):
                every += [(file, *damage) for damage in bytewise(Path(file).read_bytes(), most)]
                if not hashed or file.endswith(UNHASHED):
                    every += [(file, *damage) for damage in values(Path(file))]
            for file, title, change in chosen(every):
                number += 1
                if said := tried(kept, one, file, change, hashed):
                    found[f"{file}: {title}{'' if hashed else ', without hashes'}"] = said
    return number, found


def test_every_path_that_a_command_reads_has_a_case() -> None:
    """An option with a path, or a command, that is added fails here until a case names it."""
    missing = []
    for command in CLICK:
        for place in places(command):
            if place.use not in ("read", "list"):
                continue
            lines = [one.line for one in CASES.values() if one.command == command]
            there = [line for line in lines if not place.option or f"{place.option} " in line]
            title = f"{command} {place.option or place.name}".replace("--", "")
            if not there and not any(title.startswith(left) for left in LEFT_OUT):
                missing.append(title)
    assert missing == []


def test_every_file_that_a_command_opens_is_damaged(whole: Path) -> None:
    """A file that a command begins to read fails here until it is below the inputs of its case."""
    for name in opened:
        one = CASES[name]
        made = {path for path in opened[name] if path.startswith(("w/", *one.writes))}
        inputs = {path for path in opened[name] - made if (whole / path).is_file()}
        below = {path for path in inputs if any(path == given or path.startswith(f"{given}/") for given in one.reads)}
        assert inputs - below == set(), name


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if not one.slow])
def test_a_damaged_file_is_read_or_refused_in_one_line_that_names_it(name: str, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(name)
    assert wrong_in(name, whole, tmp_path, lambda every: rng.sample(every, FAST), 40) == (2 * FAST, {})


@pytest.mark.trial(minutes=10)
@pytest.mark.parametrize("name", CASES)
def test_a_file_damaged_at_any_place_is_read_or_refused_in_one_line_that_names_it(
    name: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number, found = wrong_in(name, whole, tmp_path, lambda every: every, BITS)
    with capsys.disabled():
        print(f"{name}: {number} cases, {len(found)} did not hold")
    assert found == {}
