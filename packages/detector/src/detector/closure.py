"""Which source files a function can load: its import closure over our packages, read from the syntax tree.

No code is imported. `Closure.follow` starts at a function and follows the references in its code: names of its module,
attributes of imported modules, imports inside functions. Loading a module adds its file and those of its parent
packages and executes its module-level statements: their imports and calls are followed. Function bodies are followed
only when something refers to the function, so a command does not depend on the imports of other commands in its module.

A reference to a class counts all of its methods. Some references are resolved at run time: functions in a dictionary
are followed if the dictionary is referred to, and a module imported by a computed name is an error unless the caller
names it (`Stage.also`). ``if TYPE_CHECKING`` and ``if __name__ == "__main__"`` blocks are skipped.
"""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PACKAGES", "Closure", "ClosureError", "code_sha256", "native_sources", "source_files"]

PACKAGES = ("detector", "evaluation", "mozcodec")
NATIVE = "mozcodec"  # the package with a C extension
LEAVES = (ast.Constant, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
NATIVE_PARTS = ("CMakeLists.txt", "cmake", "csrc", "pyproject.toml")  # sources of the extension


class ClosureError(Exception):
    """The closure cannot be computed: the message names the file and the line."""


@functools.cache
def source_files(function: str, also: tuple[str, ...] = (), computed: bool = False) -> dict[str, Path]:
    """Return module -> source file of all modules of `PACKAGES` that *function* ("module:attribute") can load.

    *also* names modules that are loaded by a computed name. ClosureError if there is no such function, a package is not
    installed, or, unless *also* or *computed* is given, a module is imported by a computed name.
    """
    closure = Closure({package: _locations(package) for package in PACKAGES}, computed or bool(also))
    collected = gc.isenabled()
    gc.disable()  # it would visit the hundred thousands of nodes of the syntax trees again and again
    try:
        closure.follow(function)
        for name in also:
            closure.use_all(name)
    finally:
        if collected:
            gc.enable()
    return dict(sorted(closure.files.items()))


def native_sources(modules: Iterable[str]) -> list[Path]:
    """Return the sources of the C extension that *modules* load: files and folders of the package.

    If the package is installed without its sources, returns the extension; empty if *modules* do not load it.
    """
    if NATIVE not in modules:
        return []
    for location in _locations(NATIVE):
        root = location.parents[1]
        if (root / "CMakeLists.txt").is_file():
            return [root / part for part in NATIVE_PARTS]
    return sorted(path for location in _locations(NATIVE) for path in location.glob("_mozjpeg*.so"))


def code_sha256(modules: Mapping[str, Path]) -> str:
    """Return one hash of the source files of *modules*, as returned by `source_files`, and the C sources."""
    files = [(name, path) for name, path in sorted(modules.items())]
    for source in native_sources(modules):
        below = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        files += [(path.relative_to(source.parent).as_posix(), path) for path in below or [source]]
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _locations(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ClosureError(f"{package}: not installed, so its modules are unknown")
    return [Path(location) for location in spec.submodule_search_locations]


@dataclass(frozen=True)
class Module:
    """A parsed source file; `bindings` are the statements that bind each name of the module."""

    name: str
    path: Path
    body: list[ast.stmt]
    bindings: dict[str, list[ast.stmt]]

    @property
    def package(self) -> str:
        """The package that relative imports refer to."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Symbol:
    """The name *name* that a statement of the module *module* binds."""

    module: str
    name: str


Target = str | Symbol  # a module by its name, or a symbol


@dataclass
class Closure:
    """The closure computed so far: `files` maps the modules that can be loaded to their source files.

    *locations* are the folders of each package. With *computed*, imports by a computed name are allowed, because the
    caller adds their modules.
    """

    locations: Mapping[str, Iterable[Path]]
    computed: bool = False
    files: dict[str, Path] = field(default_factory=dict)
    _modules: dict[str, Module | None] = field(default_factory=dict)
    _used: set[Symbol] = field(default_factory=set)

    def follow(self, function: str) -> None:
        """Add the modules that *function* ("module:attribute") can load."""
        name, _, attribute = function.partition(":")
        module = self.module(name)
        if module is None or attribute not in module.bindings:
            raise ClosureError(f"{function}: no such function in {', '.join(self.locations)}")
        self.use(Symbol(name, attribute))

    def module(self, name: str) -> Module | None:
        """Return the parsed module *name*, or None if it is not in our packages."""
        if name not in self._modules:
            path = self._find(name)
            self._modules[name] = None if path is None else _parse(name, path, path.read_bytes())
        return self._modules[name]

    def _find(self, name: str) -> Path | None:
        package, *parts = name.split(".")
        for location in self.locations.get(package, ()):
            path = location.joinpath(*parts)
            for file in (path / "__init__.py", path.with_suffix(".py")) if parts else (path / "__init__.py",):
                if file.is_file():
                    return file
        return None

    def load(self, name: str) -> None:
        """Add the module *name*, its parent packages, and the modules loaded by executing them."""
        parents = name.split(".")
        for i in range(len(parents)):
            module = self.module(".".join(parents[: i + 1]))
            if module is not None and module.name not in self.files:
                self.files[module.name] = module.path
                _Executed(self, module).visit_all(module.body)

    def use(self, target: Target) -> None:
        """Add the modules that using *target* can load: a function's body, all of a class, a value, or a module."""
        if isinstance(target, str):
            self.use_all(target)
            return
        module = self.module(target.module)
        if module is None or target in self._used:
            return
        self._used.add(target)
        self.load(target.module)
        for statement in module.bindings.get(target.name, ()):
            _Referred(self, module).visit(statement)

    def use_all(self, name: str) -> None:
        """Add the modules that any name of the module *name* can load."""
        module = self.module(name)
        if module is None:
            return
        self.load(name)
        for bound in module.bindings:
            for target in self.targets(Symbol(name, bound)):
                if target != name:
                    self.use(target) if isinstance(target, Symbol) else self.load(target)

    def targets(self, symbol: Symbol, seen: frozenset[Symbol] = frozenset()) -> list[Target]:
        """Return what *symbol* refers to, following imports to the definition; nothing for other packages."""
        module = self.module(symbol.module)
        if module is None or symbol in seen:
            return []
        if symbol.name not in module.bindings:
            inner = f"{symbol.module}.{symbol.name}"
            if self.module(inner) is not None:
                return [inner]
            return [Symbol(symbol.module, "__getattr__")] if "__getattr__" in module.bindings else []
        found: list[Target] = []
        for statement in module.bindings[symbol.name]:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for target in imported(statement, module).get(symbol.name, ()):
                    found += self.resolve(target, seen | {symbol})
            else:
                found.append(symbol)
        return list(dict.fromkeys(found))

    def resolve(self, target: Target, seen: frozenset[Symbol] = frozenset()) -> list[Target]:
        """Return what the *target* of an import refers to."""
        if isinstance(target, Symbol):
            return self.targets(target, seen)
        return [target] if self.module(target) is not None else []


@functools.lru_cache(maxsize=1024)
def _parse(name: str, path: Path, content: bytes) -> Module:
    try:
        tree = ast.parse(content, str(path))
    except (SyntaxError, ValueError) as error:
        raise ClosureError(f"{path}: {error}") from error
    bindings: dict[str, list[ast.stmt]] = {}
    for statement in executed(tree.body):
        for bound in _bound(statement):
            bindings.setdefault(bound, []).append(statement)
    return Module(name, path, tree.body, bindings)


def executed(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module or block that are executed on loading, including those of nested blocks."""
    for statement in body:
        yield statement
        for _, value in ast.iter_fields(statement):
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                break
            if isinstance(statement, ast.If) and value is statement.body and _is_skipped(statement.test):
                continue
            if isinstance(value, list):
                yield from executed(v for v in value if isinstance(v, ast.stmt))
                for inner in value:
                    if isinstance(inner, ast.ExceptHandler | ast.match_case):
                        yield from executed(inner.body)


def _is_skipped(test: ast.expr) -> bool:
    """Return whether a block under *test* is only for type checkers or ``python -m``."""
    if isinstance(test, ast.Compare):
        return ast.unparse(test) == "__name__ == '__main__'"
    return _dotted(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _dotted(node: ast.expr) -> str:
    """Return the source of ``name.name...``, empty for anything else; `ast.unparse` takes much longer."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that *statement* binds in its scope, excluding those bound in its blocks."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    return _Stores().of(statement)


class _Stores(ast.NodeVisitor):
    """Collects the names that are assigned to in the expressions of a statement."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def of(self, statement: ast.stmt) -> set[str]:
        for child in ast.iter_child_nodes(statement):
            if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                self.visit(child)
            elif isinstance(child, ast.ExceptHandler) and child.name:
                self.names.add(child.name)
            elif isinstance(child, ast.match_case):
                self.visit(child.pattern)
        return self.names

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.names |= {node.name} if node.name else set()
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self.names |= {node.name} if node.name else set()

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.names |= {node.rest} if node.rest else set()
        self.generic_visit(node)

    def _own_scope(self, node: ast.AST) -> None:
        """Skip nodes with a scope of their own; an assignment expression in a comprehension binds in the function."""
        self.names |= {inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)}

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _own_scope  # noqa: N815 (ast's names)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass


def absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the module named by ``from ... import`` in *package*."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def imported(node: ast.Import | ast.ImportFrom, module: Module) -> dict[str, list[Target]]:
    """Return what the names bound by an import statement refer to."""
    if isinstance(node, ast.ImportFrom):
        base = absolute(node, module.package)
        return {alias.asname or alias.name: [Symbol(base, alias.name)] for alias in node.names}
    return {
        alias.asname or alias.name.partition(".")[0]: [alias.name if alias.asname else alias.name.partition(".")[0]]
        for alias in node.names
    }


class _Code(ast.NodeVisitor):
    """Follows the code of one module. `scopes` are the names of enclosing functions and their imports' targets."""

    def __init__(self, closure: Closure, module: Module) -> None:
        self.closure, self.module = closure, module
        self.scopes: list[dict[str, list[Target]]] = []

    def generic_visit(self, node: ast.AST) -> None:
        """Visit the children that can have names in them, which takes half the time of visiting all."""
        for name in node._fields:
            value = getattr(node, name, None)
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and not isinstance(child, LEAVES):
                    self.visit(child)

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # -- imports -------------------------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.closure.load(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = absolute(node, self.module.package)
        self.closure.load(base)
        for alias in node.names:
            if alias.name == "*":
                self.closure.use_all(base)
            for target in self.closure.targets(Symbol(base, alias.name)):
                self.closure.load(target if isinstance(target, str) else target.module)

    def visit_If(self, node: ast.If) -> None:
        if not _is_skipped(node.test):
            self.visit(node.test)
            self.visit_all(node.body)
        self.visit_all(node.orelse)

    def visit_Call(self, node: ast.Call) -> None:
        if _dotted(node.func) in ("importlib.import_module", "import_module", "__import__"):
            self._import_by_name(node)
        self.generic_visit(node)

    def _import_by_name(self, node: ast.Call) -> None:
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.closure.use_all(importlib.util.resolve_name(name.value, self.module.package))
        elif not self.closure.computed:
            raise ClosureError(
                f"{self.module.path}:{node.lineno}: imports a module by a computed name; list the modules in "
                "`also` of the stage"
            )

    # -- names ---------------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> list[Target]:
        """Return what *name* refers to here; nothing for a variable, a builtin or another package."""
        for scope in reversed(self.scopes):
            if name in scope:
                return [t for target in scope[name] for t in self.closure.resolve(target)]
        return self.closure.targets(Symbol(self.module.name, name))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            for target in self.lookup(node.id):
                self.closure.use(target)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        names = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            names.append(value.attr)
            value = value.value
        if not isinstance(value, ast.Name):
            self.visit(value)
            return
        for target in self.lookup(value.id):
            self._attributes(target, names[::-1])

    def _attributes(self, target: Target, names: list[str]) -> None:
        """Use ``target.name.name...``: attributes of modules, up to the first symbol."""
        if isinstance(target, Symbol) or not names:
            self.closure.use(target)
            return
        self.closure.load(target)
        for inner in self.closure.targets(Symbol(target, names[0])):
            self._attributes(inner, names[1:])

    # -- scopes --------------------------------------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        """Follow the body of a function; its decorators and defaults belong to the enclosing scope."""
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        self.scopes.append(self._locals(node.args, body))
        self.visit_all(body)
        self.scopes.pop()

    def _locals(self, arguments: ast.arguments, body: list[ast.stmt] | list[ast.expr]) -> dict[str, list[Target]]:
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        scope: dict[str, list[Target]] = {argument.arg: [] for argument in every if argument is not None}
        outer: set[str] = set()
        for statement in executed(s for s in body if isinstance(s, ast.stmt)):
            if isinstance(statement, ast.Global | ast.Nonlocal):
                outer.update(statement.names)
            for name in _bound(statement):
                scope.setdefault(name, [])
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for name, targets in imported(statement, self.module).items():
                    scope[name] = [*scope.get(name, ()), *targets]
        return {name: targets for name, targets in scope.items() if name not in outer}

    def around(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) -> list[ast.AST | None]:
        """Return the nodes evaluated at the definition of *node*: decorators, argument defaults, base classes."""
        if isinstance(node, ast.ClassDef):
            return [*node.decorator_list, *node.bases, *node.keywords]
        defaults: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
        return defaults if isinstance(node, ast.Lambda) else [*node.decorator_list, *defaults]

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        stored = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self.scopes.append({name: [] for name in stored})
        self.generic_visit(node)
        self.scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all([node.target, node.value])  # annotations are not evaluated


class _Referred(_Code):
    """Follows a definition that is referred to: the body of a function, all of a class, the value of a variable."""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.visit_all(self.around(node))
        self.function(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(self.around(node))
        for statement in node.body:
            self.visit(statement)
            if isinstance(statement, ast.AnnAssign):  # a dataclass or a reader may build what the annotation names
                self.visit(statement.annotation)


class _Executed(_Code):
    """Follows the module-level statements that loading a module executes.

    Calls are followed with their arguments, and so are decorators and base classes. A value that is only assigned to a
    name is followed when something refers to the name. Function bodies are not executed.
    """

    def __init__(self, closure: Closure, module: Module) -> None:
        super().__init__(closure, module)
        self.called = False

    def _evaluate(self, nodes: Iterable[ast.AST | None]) -> None:
        """Follow every name in *nodes*."""
        before, self.called = self.called, True
        self.visit_all(nodes)
        self.called = before

    def visit_Name(self, node: ast.Name) -> None:
        if self.called:
            super().visit_Name(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self.called:
            super().visit_Attribute(node)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        before, self.called = self.called, True
        super().visit_Call(node)
        self.called = before

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._evaluate(self.around(node))
        if isinstance(node, ast.Lambda) and self.called:
            self.function(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._evaluate(self.around(node))
        self.visit_all(node.body)

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, ast.Name) for target in node.targets):
            self.visit(node.value)
        else:  # an item or attribute assignment: the name of later references is unknown
            self._evaluate([*node.targets, node.value])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._evaluate([node.target, node.value])

    def visit_Expr(self, node: ast.Expr) -> None:
        self._evaluate([node.value])

    def visit_If(self, node: ast.If) -> None:
        if not _is_skipped(node.test):
            self._evaluate([node.test])
            self.visit_all(node.body)
        self.visit_all(node.orelse)

    def visit_For(self, node: ast.For) -> None:
        self._evaluate([node.iter])
        self.visit_all([*node.body, *node.orelse])

    def visit_With(self, node: ast.With) -> None:
        self._evaluate(node.items)
        self.visit_all(node.body)
