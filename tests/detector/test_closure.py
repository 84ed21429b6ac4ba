"""The import closure of small packages on disk, compared with what Python loads when the function runs."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detector.closure import Closure, ClosureError, code_sha256, native_sources, source_files

Make = Callable[[dict[str, str]], Path]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a function that writes the package ``pack`` from file name -> text and returns the folder it is in."""

    def write(files: dict[str, str]) -> Path:
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / "pack" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    yield write


def closure(folder: Path, function: str = "pack.start:run") -> set[str]:
    found = Closure({"pack": [folder / "pack"]})
    found.follow(function)
    return {name.removeprefix("pack").removeprefix(".") or "pack" for name in found.files}


def loaded(folder: Path, function: str = "pack.start:run") -> set[str]:
    """Return which modules of ``pack`` an interpreter has loaded after it has called *function*."""
    module, attribute = function.split(":")
    code = f"import json, sys, {module} as m; m.{attribute}(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    ours = (name for name in json.loads(done.stdout) if name.split(".")[0] == "pack")
    return {name.removeprefix("pack").removeprefix(".") or "pack" for name in ours}


# name -> files; the function is pack.start:run, and running it loads all that the closure has
SAME_AS_PYTHON = {
    "imports at module level and in the function": {
        "start.py": "from . import a\ndef run():\n    from .b import value\n",
        "a.py": "import pack.c\n",
        "b.py": "value = 1\n",
        "c.py": "",
        "other.py": "",
    },
    "not what another function of the module imports": {
        "start.py": "def run():\n    helper()\ndef helper():\n    from . import a\ndef other():\n    from . import b\n",
        "a.py": "",
        "b.py": "",
    },
    "not what unused functions of an imported module import": {
        "start.py": "from . import a\nfrom .a import used as u\ndef run():\n    u()\n    a.also()\n",
        "a.py": """
            def used():
                from . import b
            def also():
                import pack.c
            def unused():
                from . import d
        """,
        "b.py": "",
        "c.py": "",
        "d.py": "",
    },
    "packages around a module, and what their __init__ imports": {
        "start.py": "def run():\n    import pack.inner.deep.module\n",
        "inner/__init__.py": "from ..a import value\n",
        "inner/deep/__init__.py": "",
        "inner/deep/module.py": "from ... import b\n",
        "a.py": "value = 1\n",
        "b.py": "",
    },
    "names handed on by a package": {
        "start.py": "from .inner import name as other\ndef run():\n    other()\n",
        "inner/__init__.py": "from .one import name\nfrom .two import unused\n",
        "inner/one.py": "def name():\n    from .. import a\n",
        "inner/two.py": "def unused():\n    from .. import b\n",
        "a.py": "",
        "b.py": "",
    },
    "functions kept in a table, where the table is used": {
        "start.py": "from .table import BUILDERS\ndef run():\n    for build in BUILDERS.values():\n        build()\n",
        "table.py": """
            from functools import partial
            def one():
                from . import a
            def two(name):
                from . import b
            BUILDERS = {"one": one, **{name: partial(two, name) for name in "xy"}}
        """,
        "a.py": "",
        "b.py": "",
    },
    "not of a table that nobody uses": {
        "start.py": "from .table import other\ndef run():\n    other()\n",
        "table.py": "def one():\n    from . import a\nTABLE = {'one': one}\ndef other():\n    return 1\n",
        "a.py": "",
    },
    "what is called when a module is loaded": {
        "start.py": "from . import a\ndef run():\n    pass\n",
        "a.py": """
            from .c import decorate
            def f():
                from . import b
            VALUE = [f()]
            @decorate
            def g():
                pass
        """,
        "b.py": "",
        "c.py": "def decorate(function):\n    from . import d\n    return function\n",
        "d.py": "",
    },
    "methods of a class, its bases, and what its body runs": {
        "start.py": "from .a import Child\ndef run():\n    Child().method()\n",
        "a.py": """
            from . import base
            class Child(base.Parent):
                from . import d
                def method(self):
                    self.up()
        """,
        "base.py": "class Parent:\n    def up(self):\n        from .c import x\n",
        "c.py": "x = 1\n",
        "d.py": "",
    },
    "not for type checkers, nor for python -m": {
        "start.py": """
            from __future__ import annotations
            import typing
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from .a import A
            else:
                from . import b
            if typing.TYPE_CHECKING:
                from . import a
            def run(x: A | None = None):
                y: A | None = x
            if __name__ == "__main__":
                from . import c
        """,
        "a.py": "A = int\n",
        "b.py": "",
        "c.py": "",
    },
    "a local name hides a function of the module": {
        "start.py": "def train():\n    from . import a\ndef run(train=1):\n    return [train for train in (train,)]\n",
        "a.py": "",
    },
    "nested functions, lambdas, global names": {
        "start.py": """
            def run():
                from . import a
                def inner():
                    a.f()
                (lambda: inner())()
                change()
            def change():
                global kept
                kept = late()
            def late():
                from . import c
        """,
        "a.py": "def f():\n    from . import b\n",
        "b.py": "",
        "c.py": "",
    },
    "blocks of a module: try, with, for, match": {
        "start.py": """
            import contextlib
            try:
                from . import absent_name
            except ImportError:
                from . import a
            with contextlib.nullcontext():
                from . import b
            for _ in range(1):
                import pack.c
            match 1:
                case 1:
                    from . import d
            def run():
                pass
        """,
        "a.py": "",
        "b.py": "",
        "c.py": "",
        "d.py": "",
    },
    "import_module with the name written out": {
        "start.py": """
            import importlib
            def run():
                importlib.import_module("pack.a")
                importlib.import_module("json")
        """,
        "a.py": "",
    },
    "a star import, and a lazy attribute of a package": {
        "start.py": "from .a import *\nfrom . import lazy\ndef run():\n    value\n    lazy.thing\n",
        "a.py": "from .b import value\n",
        "b.py": "value = 1\n",
        "lazy/__init__.py": "def __getattr__(name):\n    from .c import thing\n    return thing\n",
        "lazy/c.py": "thing = 1\n",
    },
    "a circle": {
        "start.py": "from . import a\ndef run():\n    a.f()\n",
        "a.py": "def f():\n    from .b import g\n    g()\n",
        "b.py": "from .a import f\nfrom . import c\ndef g():\n    f\n",
        "c.py": "",
    },
}


@pytest.mark.parametrize("files", SAME_AS_PYTHON.values(), ids=SAME_AS_PYTHON)
def test_the_closure_is_what_python_loads(make: Make, files: dict[str, str]) -> None:
    folder = make(files)
    assert closure(folder) == loaded(folder)


def test_every_branch_counts(make: Make) -> None:
    files = {"start.py": "def run():\n    if 0:\n        from . import a\n    else:\n        from . import b\n"}
    folder = make({**files, "a.py": "", "b.py": ""})
    assert closure(folder) == {"pack", "start", "a", "b"} > loaded(folder)


def test_a_module_handed_on_as_a_value_counts_as_a_whole(make: Make) -> None:
    start = "from . import a\ndef run():\n    return dir(a)\n"
    folder = make({"start.py": start, "a.py": "def f():\n    from . import b\n", "b.py": ""})
    assert closure(folder) == {"pack", "start", "a", "b"}


def test_a_computed_import_is_refused_unless_the_caller_names_what_it_loads(make: Make) -> None:
    folder = make({"start.py": "import importlib\ndef run(name='a'):\n    importlib.import_module('pack.' + name)\n"})
    (folder / "pack/a.py").write_text("")
    with pytest.raises(ClosureError, match=r"start\.py:3: imports a module by a computed name; list the modules"):
        closure(folder)
    declared = Closure({"pack": [folder / "pack"]}, computed=True)
    declared.follow("pack.start:run")
    declared.use_all("pack.a")
    assert set(declared.files) == {"pack", "pack.start", "pack.a"}


@pytest.mark.parametrize("function", ["pack.start:other", "pack.none:run", "elsewhere:run"])
def test_a_function_that_is_not_there_is_named(make: Make, function: str) -> None:
    folder = make({"start.py": "def run():\n    pass\n"})
    with pytest.raises(ClosureError, match=f"{function}: no such function"):
        closure(folder, function)


def test_a_syntax_error_is_named_with_its_file(make: Make) -> None:
    with pytest.raises(ClosureError, match=r"start\.py"):
        closure(make({"start.py": "def run(:\n"}))


def test_nothing_is_imported_to_find_out() -> None:
    code = (
        "import sys\n"
        "from detector.closure import source_files\n"
        "assert 'detector.training.trainer' in source_files('detector.training.command:command')\n"
        "print([name for name in ('torch', 'numpy', 'mozcodec', 'evaluation', 'click') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_code_that_loads_the_codec_depends_on_its_c_sources() -> None:
    native = {path.name for path in native_sources(source_files("detector.data.command:compress"))}
    assert native == {"CMakeLists.txt", "cmake", "csrc", "pyproject.toml"}
    assert all(path.exists() for path in native_sources(["mozcodec"]))
    assert native_sources(source_files("evaluation.cli:metrics")) == []


def test_the_sum_changes_with_a_byte_a_name_or_a_file(tmp_path: Path) -> None:
    for name, text in (("a.py", "1"), ("b.py", "2")):
        (tmp_path / name).write_text(text)
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    sums = {code_sha256({"x": a}), code_sha256({"y": a}), code_sha256({"x": b}), code_sha256({"x": a, "y": b})}
    assert len(sums) == 4
    assert code_sha256({"y": b, "x": a}) in sums
