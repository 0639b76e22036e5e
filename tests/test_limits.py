"""The limits of the code's shape: small files, short functions, imports that go down only, no cycles, no globals."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [*sorted((ROOT / "fireact").rglob("*.py")), *sorted((ROOT / "hydra_plugins").glob("*.py")), ROOT / "main.py"]

LAYERS = [
    {"types", "protocols", "errors", "options", "plan", "toolspec", "requests"},
    {"batching", "bodies", "command", "database", "dataset.paragraphs", "dataset.rows", "dataset.scoring",
     "dataset.splits", "forks", "jsonl", "kept", "keys", "ledger", "locks", "lookups", "meter", "order", "pacing",
     "plugins", "prices", "process", "recordings", "render", "retrieval", "schema", "schemas", "sections", "serving",
     "slots", "store", "strategy.calling", "strategy.grammar", "strategy.language", "strategy.plans",
     "strategy.tagged", "strategy.turns", "templated", "templates", "web"},
    {"model", "tool", "strategy", "dataset"},
    {"episode", "pool", "examples", "tracking", "stats", "manifest", "formats", "contamination",
     "tape", "play", "sampling", "filters", "failures", "loopback", "preferences", "mixing", "skills"},
    {"generate", "forecast", "viewer", "curate", "tokenize", "parity", "train", "evaluate", "report", "paper",
     "card", "study", "compare", "tables"},
    {"stages", "students", "own", "improve", "publish", "capsule", "checks", "children", "running", "forkserver",
     "sweep", "gc", "launch", "explain", "main", "hydra_plugins"},
]
"""From the bottom up: a module imports from its own layer and those below; plug-ins never from each other."""

HYDRA = {"main", "explain", "schema", "hydra_plugins.fireact_grid"}
"""The only modules that may import hydra or omegaconf."""


def module(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts[1:] if parts[0] == "fireact" else parts)


TREES = {module(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports(name: str) -> set[str]:
    """All imported names of a module, those inside functions too, but not those for type checkers only."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(TREES[name])
    return found


def internal(name: str) -> set[str]:
    """The project's own modules that a module imports."""
    result = set()
    for imported in imports(name):
        path = imported.removeprefix("fireact.")
        if path == imported:
            continue
        while path and path not in TREES:
            path = path.rpartition(".")[0]
        result.add(path)
    return result - {name, ""}


def layer(name: str) -> int:
    part = name
    while part:
        for number, members in enumerate(LAYERS):
            if part in members:
                return number
        part = part.rpartition(".")[0]
    raise AssertionError(f"{name} has no layer; give it one in LAYERS")


def group(name: str) -> str:
    """A plug-in's own file or package: model.local, tool.corpus."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("name", [name for name in TREES if name])
def test_imports_go_down_only(name: str) -> None:
    for other in internal(name):
        assert layer(other) <= layer(name), f"{name} imports {other}, which is above it"
        if layer(name) == 2 and layer(other) == 2:
            assert group(name) == group(other) or other == "strategy.prompts" or name.startswith("strategy."), (
                f"the plug-in {name} imports the plug-in {other}")


def test_there_are_no_import_cycles() -> None:
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in internal(name):
                walk(other, (*path, name))
            done.add(name)

    for name in TREES:
        walk(name, ())


def test_only_the_border_knows_hydra() -> None:
    for name in TREES:
        if any(imported.split(".")[0] in ("hydra", "omegaconf") for imported in imports(name)):
            assert name in HYDRA, f"{name} imports hydra or omegaconf"


def test_torch_stays_in_model_local_and_train() -> None:
    for name in TREES:
        if any(imported.split(".")[0] in ("torch", "peft", "accelerate") for imported in imports(name)):
            assert name.startswith(("model.local", "train")), f"{name} imports torch"


@pytest.mark.parametrize("path", FILES, ids=lambda path: module(path) or "fireact")
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(TREES[module(path)]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"
        assert not isinstance(node, ast.Global), "there are no globals"


def test_modules_and_public_functions_have_docstrings() -> None:
    for name, tree in TREES.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


def test_classes_are_flat() -> None:
    bases = {node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
             for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    def depth(name: str) -> int:
        return 1 + max((depth(base) for base in bases[name] if base in bases), default=0)

    deep = [name for name in bases if depth(name) > 2]
    assert not deep
