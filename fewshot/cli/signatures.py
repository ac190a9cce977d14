"""What a constructor takes, read from its source: neither it nor torch is imported."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal

_ROOT = Path(__file__).parents[2]
_KNOWN = {kind.__name__: kind for kind in (int, float, str, bool, tuple, list, dict, Mapping, Sequence, Path)}


class Unread:
    """A default that is no literal; it shows itself as the source has it."""

    def __init__(self, node: ast.expr):
        self.node = node

    def __repr__(self) -> str:
        return ast.unparse(self.node)


def source_parameters(target: str) -> dict[str, Parameter]:
    """Parameters of a function or class of this package, as `inspect.signature` has them.

    Annotations that are no plain types are `Any`.

    Args:
        target: dotted name.

    Raises:
        LookupError: it is not of this package, or not found in its source.
    """
    module, node = _find(*_split(target))
    return {name: parameter for name, (parameter, _) in _parameters(module, node).items()}


def source_meanings(target: str) -> dict[str, str]:
    """Name of each parameter → what its docstring says of it, see `source_parameters`."""
    module, node = _find(*_split(target))
    return {name: meaning for name, (_, meaning) in _parameters(module, node).items()}


def _split(target: str) -> tuple[str, str]:
    module, _, name = target.rpartition(".")
    return module, name


def _find(module: str, name: str) -> tuple[str, ast.AST]:
    """Where a name is defined, imports followed: the module, and the class, function or value."""
    for node in _tree(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return module, node.value
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find(f"{module}.{node.module}" if node.level else f"{node.module}", alias.name)
    raise LookupError(f"{module}.{name}")


@cache
def _tree(module: str) -> ast.Module:
    path = _ROOT.joinpath(*module.split("."))
    for file in (path / "__init__.pyi", path / "__init__.py", path.with_suffix(".py")):
        if module.split(".")[0] == "fewshot" and file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    raise LookupError(module)


def _parameters(module: str, node: ast.AST) -> dict[str, tuple[Parameter, str]]:
    if isinstance(node, ast.FunctionDef):
        said = _meanings(node)
        return {parameter.name: (parameter, said.get(parameter.name, "")) for parameter in _of_function(module, node)}
    if not isinstance(node, ast.ClassDef):
        raise LookupError(ast.unparse(node))
    found: dict[str, tuple[Parameter, str]] = {}
    for base in node.bases:
        if isinstance(base, ast.Name):
            try:
                found |= _parameters(*_find(module, base.id))
            except LookupError:  # nn.Module, ABC and the like
                continue
    said = {name: meaning for name, (_, meaning) in found.items()} | _meanings(node)
    made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    if made:
        found = {}
        own = list(_of_function(module, made[0]))[1:]
    else:
        own = list(_of_fields(module, node)) if any("dataclass" in ast.unparse(d) for d in node.decorator_list) else []
    found |= {parameter.name: (parameter, "") for parameter in own}
    return {name: (parameter, said.get(name, "")) for name, (parameter, _) in found.items()}


def _of_function(module: str, node: ast.FunctionDef) -> Iterator[Parameter]:
    places = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(places) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = [*zip(places, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    for place, default in pairs:
        yield _parameter(module, place.arg, place.annotation, default)
    if node.args.kwarg is not None:
        yield Parameter(node.args.kwarg.arg, Parameter.VAR_KEYWORD)


def _of_fields(module: str, node: ast.ClassDef) -> Iterator[Parameter]:
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or "ClassVar" in ast.unparse(item.annotation):
            continue
        if isinstance(item.target, ast.Name) and item.target.id != "_":  # `_: KW_ONLY` is no field
            yield _parameter(module, item.target.id, item.annotation, item.value)


def _parameter(module: str, name: str, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    kind = Any if annotation is None else _value(module, annotation, Any)
    value = Parameter.empty if default is None else _value(module, default, Unread(default))
    return Parameter(name, Parameter.KEYWORD_ONLY, default=value, annotation=kind)


def _value(module: str, node: ast.expr, otherwise: Any) -> Any:
    """An expression of literals, plain types and names that the package gives such values."""
    names = _KNOWN | {"Literal": Literal}
    for name in {item.id for item in ast.walk(node) if isinstance(item, ast.Name)} - set(names):
        try:
            where, found = _find(module, name)
        except LookupError:
            return otherwise
        if not isinstance(found, ast.expr):
            return otherwise
        names[name] = _value(where, found, otherwise)
        if names[name] is otherwise:
            return otherwise
    try:
        return eval(ast.unparse(node), {"__builtins__": {}}, names)  # this package's own source
    except Exception:  # a call, or an attribute: only importing it would tell
        return otherwise


def _meanings(node: ast.ClassDef | ast.FunctionDef) -> dict[str, str]:
    """The `Args:` of a docstring."""
    block = re.search(r"^Args:\n((?: .*\n?|\n)+)", f"{inspect.cleandoc(ast.get_docstring(node) or '')}\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): ((?:.|\n(?!    \S|\S))*)", block[1] if block else "", re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}
