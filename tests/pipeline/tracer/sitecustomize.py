"""Records what the commands of DVC's stages load and read; for subprocesses, through PYTHONPATH.

Python imports ``sitecustomize`` when it starts, worker processes included. With the environment variable TRACE, every
process that DVC_STAGE says belongs to a stage appends lines to ``TRACE/<stage>.<pid>``: ``load`` and a module of ours,
``param`` and a dotted parameter, ``read`` or ``write`` and a path. Lines are written immediately, so that the
record of a killed process is complete.
"""

import atexit
import importlib.abc
import os
import sys

OURS = ("detector", "evaluation", "mozcodec")
CONFIG = "detector.config"


class Record:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.seen = set()

    def __call__(self, kind, value):
        line = f"{kind} {value}\n"
        if line not in self.seen:
            self.seen.add(line)
            os.write(self.file, line.encode())

    def audit(self, event, args):
        if event == "open" and isinstance(args[0], str | bytes):
            mode, flags = args[1], args[2]
            writes = set(mode) & set("wxa+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            path = os.fsdecode(args[0])
            # shutil.rmtree opens the names in a folder relative to its descriptor, which is not said here
            if writes or os.path.dirname(path) or os.path.lexists(path):  # noqa: PTH120
                self("write" if writes else "read", os.path.abspath(path))  # noqa: PTH100 (links are not followed)

    def modules(self):
        for name in tuple(sys.modules):
            self.module(name)

    def module(self, name):
        if name.partition(".")[0] in OURS:
            self("load", name)


class Finder(importlib.abc.MetaPathFinder):
    """Lets modules of ours report that they are executed, and the dataclasses of `detector.config` what is read."""

    def __init__(self, record):
        self.record = record

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in OURS:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                self.record.module(name)
                execute(module)
                if name == CONFIG:
                    report_reads(module, module.Params, "", self.record)

            spec.loader.exec_module = exec_module
        return spec


def report_reads(module, kind, prefix, record):
    """Let instances of the dataclass *kind*, the section *prefix* of the parameters, record which fields are read."""
    import dataclasses
    import typing

    hints = typing.get_type_hints(kind, vars(module))
    sections = {name for name in hints if dataclasses.is_dataclass(hints[name])}
    for name in sections:
        report_reads(module, hints[name], f"{prefix}{name}.", record)
    original = kind.__getattribute__

    def __getattribute__(self, name):  # noqa: N807
        if name in hints and name not in sections:
            record("param", prefix + name)
        return original(self, name)

    kind.__getattribute__ = __getattribute__


if "TRACE" in os.environ and "DVC_STAGE" in os.environ:
    record = Record(f"{os.environ['TRACE']}/{os.environ['DVC_STAGE']}.{os.getpid()}")
    sys.addaudithook(record.audit)
    sys.meta_path.insert(0, Finder(record))
    atexit.register(record.modules)
