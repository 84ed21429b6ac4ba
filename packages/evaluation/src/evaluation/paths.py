"""Paths on the command line: a command never writes over what it reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click

from .outputs import check_writable
from .values import shown

__all__ = ["Command", "Existing", "File", "Folder", "GroupArgument", "check_paths"]

Existing = click.Path(exists=True, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)


class Folder(click.Path):
    """A folder that the command writes to; *names* returns the names that it writes there, as patterns."""

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        super().__init__(file_okay=False, path_type=Path)
        self.names = names


class GroupArgument(click.ParamType):  # type: ignore[type-arg]  # not generic at run time before click 8.2
    """``LABEL=PATH`` or ``LABEL=PATH,PATH,...``."""

    name = "LABEL=PATH,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        label, sign, listed = str(value).partition("=")
        paths = listed.split(",")
        if not (sign and label and all(paths)):
            said = f"{shown(value)} is not LABEL=PATH or LABEL=PATH,PATH (like q77=seed-1.csv,seed-2.csv)"
            self.fail(said, param, ctx)
        for path in paths:
            if not Path(path).is_file():
                self.fail(f"{path}: no such file", param, ctx)
        return label, tuple(paths)


class Command(click.Command):
    """A command that refuses to overwrite a file or folder that it reads, and paths that cannot be read or written."""

    def invoke(self, ctx: click.Context) -> Any:
        from .files import regular

        read: dict[str, Path] = {}
        written: dict[str, Path] = {}
        names: dict[str, Sequence[str]] = {}
        for param in self.params:
            value = ctx.params.get(param.name or "")
            name = param.opts[0] if isinstance(param, click.Option) else str(param.name).upper()
            if isinstance(param.type, GroupArgument) and value:
                groups = [value] if isinstance(value[0], str) else value
                read |= {path: Path(path) for _, paths in groups for path in paths}
            elif param.type is Existing and value is not None:
                read[name] = value
            elif (param.type is File or isinstance(param.type, Folder)) and value is not None:
                written[name] = value
                names |= {name: param.type.names()} if isinstance(param.type, Folder) else {}
        check_paths(read, written, names)
        for path in read.values():
            regular(path)
        with ExitStack() as stack:
            for name, path in written.items():
                check_writable(path, stack, folder=name in names)
            return super().invoke(ctx)


def check_paths(
    read: Mapping[str, Path], written: Mapping[str, Path], names: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Raise ValueError if writing would change an input; *read* and *written* are paths by their name.

    An output must not be an input, lie inside one, be the record beside a table of scores, or be another output. Of
    the outputs that are folders, *names* are the patterns of the names that are written there. Links are followed.
    """
    from .origin import is_record, origin_path

    # realpath: Path.resolve raises RuntimeError for a loop of links
    inputs = {name: Path(os.path.realpath(path)) for name, path in read.items()}
    outputs = {name: Path(os.path.realpath(path)) for name, path in written.items()}
    for out, path in outputs.items():
        shown, remedy = written[out], f"give {out} another path"
        for name, source in inputs.items():
            if path == source:
                raise ValueError(f"{shown}: {out} would overwrite {name}; {remedy}")
            if path.is_relative_to(source):
                raise ValueError(f"{shown}: {out} lies inside {name}, which is only read; {remedy}")
            if source.is_relative_to(path):
                first = source.relative_to(path).parts[0]
                if any(fnmatch(first, pattern) for pattern in (names or {}).get(out, ())):
                    raise ValueError(f"{shown / first}: {out} would overwrite {name}; {remedy}")
            if path == origin_path(source) and path.is_file() and is_record(path):
                raise ValueError(f"{shown}: is the record that `detector score` wrote beside {read[name]}; {remedy}")
        for name, other in outputs.items():
            if name != out and path == other:
                raise ValueError(f"{shown}: {out} and {name} are the same path; {remedy}")
