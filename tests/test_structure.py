"""The house: imports form no circles, neither between files nor between rooms, and few modules stand at the top."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fewshot"
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
FACES = {name for name, path in FILES.items() if path.name == "__init__.py"}


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports anywhere, under TYPE_CHECKING and inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom) and node.module in FILES:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in FILES else home(node.module, alias.name)


def home(module: str, name: str) -> str:
    """The file that defines a name that a package's face passes on."""
    face = PACKAGE.parent.joinpath(*module.split("."), "__init__.pyi")
    if module not in FACES:
        return module
    text = face.read_text(encoding="utf-8") if face.exists() else FILES[module].read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            found = "." * node.level + (node.module or "")
            found = f"{module}.{node.module}" if node.level else found
            if found in FILES and found != module:
                return home(found, name)
    return module


def room(module: str) -> str:
    """The package that a module is in; a module at the top is a room of its own."""
    return ".".join(module.split(".")[:2])


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


GRAPH = {
    name: {other for other in imported(path) if other != name} for name, path in FILES.items() if name not in FACES
}


def test_no_circle_between_files():
    assert circle(GRAPH) == []


def test_no_circle_between_rooms():
    packages = {room(name) for name in FILES if room(name) in FACES and room(name) != "fewshot"}
    rooms: dict[str, set[str]] = {name: set() for name in packages}
    for name, others in GRAPH.items():
        for other in others if not name.endswith("__main__") else ():  # nothing imports an entry point
            if room(name) in packages and room(other) in packages and room(name) != room(other):
                rooms[room(name)].add(room(other))
    assert circle(rooms) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert "fewshot.errors" in GRAPH["fewshot.storage"]
    assert "fewshot.encoders.encoder" in GRAPH["fewshot.text_classifier"]


def test_few_modules_stand_at_the_top():
    top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert top == {
        "classifier",
        "native",
        "recipe",
        "meta_model",
        "text_classifier",
        "run",
        "features",
        "storage",
        "errors",
        "processes",
        "progress",
        "randomness",
        "ranges",
        "resources",
    }
