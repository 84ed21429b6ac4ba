"""``python -m tools architecture``: the tables of files in docs/architecture.md, made from the code.

A file's line is the first sentence of its docstring, or of the comment at the top of a C file. The table of stages on
the same page is written by ``detector dvc-yaml``.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from detector.closure import absolute

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path("docs/architecture.md")
PACKAGES = ("mozcodec", "evaluation", "detector")
C_FOLDER = Path("packages/mozcodec/csrc")
END = "<!-- end -->"


def begin(name: str) -> str:
    """Return the marker above the generated part *name*."""
    return f"<!-- written by `make architecture`: {name} -->"


def first_sentence(text: str) -> str:
    """Return the first sentence of *text* on one line, without its full stop; a newline does not end a sentence."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    end = re.search(r"(?<!\bet al)(?<!\be\.g)(?<!\bi\.e)\.(?= [A-Z`\"(]|$)", paragraph)
    return paragraph[: end.start()] if end else paragraph


def python_line(path: Path) -> str:
    """Return what the Python file *path* says about itself, "" if it has no docstring."""
    return first_sentence(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")


def c_line(path: Path) -> str:
    """Return the first sentence of the first comment of the C file *path*, "" if it begins with anything else."""
    comment = re.match(r"/\*(.*?)\*/", path.read_text(encoding="utf-8"), re.S)
    return first_sentence(re.sub(r"^ \* ?", "", comment[1], flags=re.M)) if comment else ""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; ``|`` in a cell is escaped."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("| --- ", "|---").replace("|---|", "|---|") for line in lines)


def packages(root: Path) -> str:
    """Return the table of the three packages: what each is for and what it requires, from its pyproject.toml."""
    rows = []
    for name in PACKAGES:
        project = tomllib.loads((root / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        required = [re.split(r"[<>=!~;\[ ]", one)[0] for one in project["dependencies"]]
        own = [f"**{one}**" for one in required if one in PACKAGES]
        others = sorted(one for one in required if one not in PACKAGES)
        rows.append((f"[{name}](../packages/{name}/README.md)", project["description"], ", ".join(own + others)))
    return table(("package", "what it does", "requires"), rows)


def python_files(root: Path) -> str:
    """Return a table for each folder of Python files of the packages and of tools."""
    places = [(f"packages/{name}/src/{name}", name) for name in PACKAGES] + [("tools", "tools")]
    return "\n\n".join(part for place, name in places for part in _folders(root / place, name))


def _folders(top: Path, name: str) -> Iterator[str]:
    for folder in sorted({path.parent for path in top.rglob("*.py") if "__pycache__" not in path.parts}):
        inner = folder.relative_to(top)
        title = name if folder == top else f"{name}/{inner.as_posix()}"
        files = sorted(folder.glob("*.py"), key=lambda path: (path.name != "__init__.py", path.name))
        rows = [(f"`{path.name}`", line) for path in files if (line := python_line(path))]
        yield f"### `{title}`\n\n" + table(("file", "what it holds"), rows)


def c_files(root: Path) -> str:
    """Return the table of the C files and headers of mozcodec."""
    top = root / C_FOLDER
    paths = sorted(top.rglob("*.[ch]"), key=lambda path: (path.parent != top, path.as_posix()))
    return table(("file", "what it holds"), [(f"`{path.relative_to(top).as_posix()}`", c_line(path)) for path in paths])


def imports(root: Path) -> str:
    """Return which folders and single modules each folder of detector imports, functions included."""
    graph = folder_imports(root / "packages/detector/src", "detector")
    rows = [(f"`{name}`", ", ".join(f"`{one}`" for one in sorted(graph[name]))) for name in sorted(graph)]
    return table(("folder or module", "imports"), (row for row in rows if row[1]))


def folder_imports(source: Path, package: str) -> dict[str, set[str]]:
    """Return which units of *package*, in the folder *source*, each unit imports: a folder counts as one unit.

    Imports inside functions count; those for type checkers do not run, and do not count.
    """
    names = modules(source, package)
    units = {name.split(".")[1] for name in names if "." in name}
    found: dict[str, set[str]] = {unit: set() for unit in units}
    for name, path in names.items():
        if "." not in name:
            continue
        unit = name.split(".")[1]
        for target in imported(name, path):
            top, _, rest = target.partition(".")
            other = rest.partition(".")[0]
            if top == package and other in units and other != unit:
                found[unit].add(other)
    return found


def modules(source: Path, package: str) -> dict[str, Path]:
    """Return the files of *package*, in the folder *source*, by the name of their module."""
    names = {}
    for path in sorted((source / package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(name: str, path: Path, *, type_checking: bool = False) -> Iterator[str]:
    """Yield the absolute name of everything that the module *name* in the file *path* imports, functions included.

    With *type_checking* also what it imports for type checkers only.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if not type_checking and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


PARTS = {"packages": packages, "imports": imports, "Python files": python_files, "C files": c_files}


def updated(text: str, root: Path = ROOT) -> str:
    """Return the Markdown *text* with its generated parts made anew from the files below *root*.

    ClickException if a marker is missing.
    """
    for name, part in PARTS.items():
        before, found, rest = text.partition(begin(name))
        _, end, after = rest.partition(END)
        if not found or not end:
            raise click.ClickException(f"{PAGE}: has no lines {begin(name)} and {END}, between which the table goes")
        text = f"{before}{begin(name)}\n{part(root)}\n{END}{after}"
    return text


@click.command("architecture")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the page is not up to date.")
@click.pass_context
def command(context: click.Context, check: bool) -> None:
    """Write the tables of packages and source files in docs/architecture.md.

    They are made from pyproject.toml files, docstrings, comments and imports. Run it after adding, renaming or removing
    a file.
    """
    page = ROOT / PAGE
    text = page.read_text(encoding="utf-8")
    made = updated(text)
    if made == text:
        click.echo("up to date")
    elif check:
        click.echo(f"{PAGE}: not up to date; run make architecture")
        context.exit(1)
    else:
        page.write_text(made, encoding="utf-8")
        click.echo(f"{PAGE}: written")
