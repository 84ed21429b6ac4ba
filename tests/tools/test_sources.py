"""Source files are short or say why not, public functions are documented, and the map of the tree is current."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools import architecture
from tools.documentation import modules

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mozcodec", "evaluation", "detector")

# -- the map --------------------------------------------------------------------------------------------------------


def test_the_tables_of_the_architecture_are_those_of_the_code() -> None:
    text = (ROOT / architecture.PAGE).read_text(encoding="utf-8")
    assert architecture.updated(text) == text, "run make architecture"


def test_every_source_file_has_a_line_there() -> None:
    files = [path for name in PACKAGES for path in (ROOT / "packages" / name / "src").rglob("*.py")]
    assert [str(path) for path in files if not architecture.python_line(path)] == []
    c_files = list((ROOT / architecture.C_FOLDER).rglob("*.[ch]"))
    assert len(c_files) > 50
    assert [str(path) for path in c_files if not architecture.c_line(path)] == []


def test_the_map_begins_with_every_folder_at_the_top_and_names_files_that_exist() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {name.partition("/")[0] for name in listed.split("\0") if "/" in name}
    text = (ROOT / architecture.PAGE).read_text(encoding="utf-8").partition("## The tree")[2].partition("\n## ")[0]
    assert len(folders) > 8
    assert [name for name in sorted(folders) if f"`{name}`" not in text and f"`{name}/" not in text] == []
    sources = [ROOT / "packages" / name / "src" for name in PACKAGES] + [ROOT / "packages" / "mozcodec"]
    files = re.findall(r"`([\w/]+\.(?:py|c))`", text)
    assert len(files) > 6
    assert [name for name in files if not any((folder / name).is_file() for folder in sources)] == []


def test_a_new_file_and_a_new_import_change_the_map(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for name, text in {
        "p/__init__.py": '"""The package."""\n',
        "p/a/__init__.py": '"""The folder a. More."""\nfrom ..c import x\n',
        "p/a/b.py": "def f():\n    from p import c\n",
        "p/c.py": '"""See Zhao et al. 2021 for c.\n\nMore."""\nif TYPE_CHECKING:\n    from .a import b\n',
    }.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert architecture.folder_imports(source, "p") == {"a": {"c"}, "c": set()}
    assert architecture.python_line(source / "p/c.py") == "See Zhao et al. 2021 for c"
    assert architecture.python_line(source / "p/a/__init__.py") == "The folder a"
    (source / "p/d.c").write_text("/* Decodes\n * blocks. In rows. */\nint x;\n")
    assert architecture.c_line(source / "p/d.c") == "Decodes blocks"
    (source / "p/c.py").write_text("from .a import b\n")
    assert architecture.folder_imports(source, "p")["c"] == {"a"}


# -- sizes ----------------------------------------------------------------------------------------------------------

LONGEST = 600
WHY = re.compile(r"Over 600 lines: .{20,}")
GENERATED = {"dvc.yaml", "dvc.lock", "requirements.lock"}
DATA = (".csv", ".json", ".svg", ".png", ".jpg", ".ipynb")


def too_long(text: str) -> bool:
    """Return whether *text* has more lines than `LONGEST` and does not say why in its first 40."""
    lines = text.splitlines()
    return len(lines) > LONGEST and not WHY.search("\n".join(lines[:40]))


def test_every_file_is_short_or_says_why() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name and name not in GENERATED and not name.endswith(DATA)]
    found = []
    for path in paths:
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data and too_long(data.decode("utf-8")):
            found.append(str(path.relative_to(ROOT)))
    assert len(paths) > 300
    assert found == [], f"split it, or say why: '{WHY.pattern}'"


def test_a_long_file_is_noticed() -> None:
    assert too_long("x\n" * 601)
    assert not too_long("x\n" * 600)
    assert not too_long("# Over 600 lines: one table, in the order of the standard.\n" + "x\n" * 600)
    assert too_long("x\n" * 600 + "# Over 600 lines: one table, in the order of the standard.\n")


# -- documentation --------------------------------------------------------------------------------------------------


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Yield the public functions, classes and methods of a module that have no docstring.

    Left out: overloads; properties, whose name and type say it; and methods of a class with bases, which are documented
    where they are declared.
    """
    exported = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = {element.value for element in ast.walk(node.value) if isinstance(element, ast.Constant)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _public(node.name, exported):
            yield from _undocumented(node, "")


def _public(name: str, exported: set[Any] | None = None) -> bool:
    return not name.startswith("_") and (exported is None or name in exported)


def _undocumented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, prefix: str) -> Iterator[str]:
    decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
    if not ast.get_docstring(node) and not decorators & {"overload", "property", "cached_property", "setter"}:
        yield f"{prefix}{node.name}"
    if isinstance(node, ast.ClassDef) and not node.bases:
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and _public(inner.name):
                yield from _undocumented(inner, f"{node.name}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_and_classes_have_docstrings(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "packages" / package / "src").rglob("*.py"))
        for name in undocumented(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_missing_docstrings_are_noticed() -> None:
    text = "class A:\n def f(self): pass\n def _g(self): pass\n @property\n def h(self): pass\ndef _i(): pass\n"
    assert list(undocumented(ast.parse(text))) == ["A", "A.f"]
    assert list(undocumented(ast.parse("__all__ = ['b']\ndef a(): pass\ndef b(): pass\n"))) == ["b"]
    assert list(undocumented(ast.parse('@overload\ndef a(): ...\ndef a():\n    """Return."""\n'))) == []


# -- shapes, units, errors, sources: of the modules whose functions other programs call ----------------------------

CALLED = {
    "mozcodec": ["mozcodec", "mozcodec.forensics", "mozcodec.jpegio"],
    "evaluation": ["evaluation.metrics", "evaluation.likelihood", "evaluation.scores", "evaluation.matrix"],
    "detector": [
        "detector.conditions", "detector.config", "detector.data.index", "detector.data.shards", "detector.weights",
        "detector.inference", "detector.answer",
    ],
}  # fmt: skip

ARRAY = re.compile(r"ndarray|NDArray|ArrayLike|Tensor|\bArray\b|\bFloats\b|\bInts\b")
SHAPE = re.compile(
    r"\((?:[A-Za-z0-9_]+|\.\.\.)(?:, ?[A-Za-z0-9_/*+.]+(?: [*+-] \w+)?)*,?\)"  # (n,), (H, W, 3), (..., h, w)
    r"|shape|elementwise|\bper row\b|of each row|one (?:value|name|row) (?:for|per) each|2-D|1-D"
)
ERRORS = re.compile(r"[Rr]aise|refuse|[Rr]eject|\w*Error|\w+Exception|Mismatch|must ")
UNITS = {  # parameter -> what its docstring must say
    "timeout": r"second|\bs\b", "seconds": r"second", "max_memory": r"byte|MiB", "max_pixels": r"pixel",
    "max_bytes": r"byte", "quality": r"1\.\.100|quality|encode", "distance": r"[Dd]istance|encode",
    "fpr": r"false positive rate", "confidence": r"share|0\.\.1|confidence|%", "temperature": r"> 0|temperature",
    "dct_size": r"1\.\.16", "block_size": r"1\.\.16", "bits": r"bit",
    "precision": r"bit|fp16|float|half", "margin": r"pixel|share|side",
}  # fmt: skip
SOURCE = re.compile(
    r"[A-Z][\w'-]+(?: and [A-Z][\w'-]+|,? et al\.?)?,? \(?(?:19|20)\d\d|T\.81|arXiv|https?://|\w+\.c\b|scikit-learn|scikit-image|jpegli"
    r"|(?:19|20)\d\d[,)]"
)


def reference(modules: dict[str, list[str]]) -> dict[str, tuple[Any, str]]:
    """Return the public functions and methods of *modules*, each with its docstring.

    The docstring of the class belongs to that of a method, and a module's to those of its functions if it says what
    holds for "Every function".
    """
    found: dict[str, tuple[Any, str]] = {}
    for name in sorted({name for names in modules.values() for name in names}):
        module = importlib.import_module(name)
        common = text if "Every function" in (text := inspect.getdoc(module) or "") else ""
        for exported in getattr(module, "__all__", [one for one in vars(module) if not one.startswith("_")]):
            value = getattr(module, exported)
            if inspect.isfunction(value) and value.__module__.split(".")[0] in PACKAGES:
                found[f"{name}.{exported}"] = value, f"{inspect.getdoc(value) or ''}\n{common}"
            elif inspect.isclass(value) and value.__module__.split(".")[0] in PACKAGES:
                for inner, method in vars(value).items():
                    method = getattr(method, "__func__", method)
                    if inspect.isfunction(method) and not inner.startswith("_") and method.__doc__:
                        both = f"{inspect.getdoc(method) or ''}\n{inspect.getdoc(value) or ''}"
                        found[f"{name}.{exported}.{inner}"] = method, both
    return found


@cache
def ours() -> dict[str, tuple[Any, str]]:
    return reference(CALLED)


def raised(function: Any) -> set[str]:
    """Return the exceptions that the body of *function* raises itself."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except OSError:  # made by dataclasses
        return set()
    raises = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return {ast.unparse(one).partition("(")[0] for one in raises}


def refers(doc: str) -> bool:
    """Return whether *doc* says that the parameters are those of another function, where they are described."""
    return bool(re.search(r":func:|:meth:|:class:|as (?:in|for|of) `|those of `|see `", doc))


def lacking(functions: dict[str, tuple[Any, str]]) -> Iterator[str]:
    """Yield what the docstrings of *functions* leave out: shapes of arrays, units of numbers, errors."""
    for name, (function, doc) in functions.items():
        annotations = " ".join(str(one) for one in getattr(function, "__annotations__", {}).values())
        if ARRAY.search(annotations) and not SHAPE.search(doc) and not refers(doc):
            yield f"{name}: no shape of its arrays"
        if raised(function) and not ERRORS.search(doc) and not refers(doc):
            yield f"{name}: no word on {', '.join(sorted(raised(function)))}"
        for parameter in inspect.signature(function).parameters:
            unit = UNITS.get(parameter)
            if unit and not re.search(unit, doc) and not refers(doc):
                yield f"{name}: no unit of {parameter}"


def test_those_modules_are_in_the_reference_of_the_site() -> None:
    shown = {name for names in modules().values() for name in names}
    assert {name for names in CALLED.values() for name in names} <= shown


def test_public_functions_say_shapes_units_and_errors() -> None:
    assert len(ours()) > 150
    assert list(lacking(ours())) == []


def test_missing_shapes_units_and_errors_are_noticed() -> None:
    def bad(image: "NDArray[Any]", timeout: float) -> None:  # noqa: F821, ARG001, UP037
        """Return the image."""
        raise ValueError("no")

    def good(image: "NDArray[Any]", timeout: float) -> None:  # noqa: F821, ARG001, UP037
        """Return the image (H, W, 3) within *timeout* seconds. ValueError if it has none."""
        raise ValueError("no")

    found = list(lacking({"f": (bad, inspect.getdoc(bad) or "")}))
    assert found == ["f: no shape of its arrays", "f: no word on ValueError", "f: no unit of timeout"]
    assert list(lacking({"f": (good, inspect.getdoc(good) or "")})) == []


def test_metrics_models_and_measures_name_their_source() -> None:
    import mozcodec
    from detector.models import efficientnet, meso, multi_attention
    from evaluation import intervals, likelihood, metrics

    texts = {
        one.__name__: f"{inspect.getdoc(one)} {inspect.getdoc(inspect.getmodule(one) or one)}"
        for one in (
            mozcodec.psnr, mozcodec.ssim, mozcodec.ms_ssim, mozcodec.ssimulacra2, metrics, intervals, likelihood,
            efficientnet, meso, multi_attention,
        )
    }  # fmt: skip
    assert [name for name, text in texts.items() if not SOURCE.search(text)] == []
