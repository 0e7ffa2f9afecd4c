"""docs/architecture.md names files, classes and functions; each of them has to exist."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "glissando"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))
FILES = [name for name in QUOTED if re.fullmatch(r"[\w/-]+\.(py|toml|md|js|html|css)", name)]
DOTTED = [name for name in QUOTED if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", name) and name not in FILES]
CLASSES = [name for name in QUOTED if re.fullmatch(r"[A-Z][a-z]\w*", name)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def names_in(body: list[ast.stmt]) -> set[str]:
    """What the statements of a module or a class define or import."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def assigned_to_self(node: ast.ClassDef) -> set[str]:
    targets = (
        child for child in ast.walk(node) if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store)
    )
    return {child.attr for child in targets if isinstance(child.value, ast.Name) and child.value.id == "self"}


@cache
def classes() -> dict[str, set[str]]:
    """The members of every class of the package by its name; of classes with one name, all members together."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(names_in(node.body), assigned_to_self(node))
    return found


def exists(dotted: str) -> bool:
    """Whether a name is Class.member, or a module's path from the package with something that the module has."""
    first, *others = dotted.split(".")
    if first[0].isupper():
        return len(others) == 1 and others[0] in classes().get(first, ())
    here, parts = PACKAGE, [first, *others]
    while parts and (here / parts[0]).is_dir():
        here /= parts.pop(0)
    module = here / "__init__.py"
    if parts and (here / f"{parts[0]}.py").is_file():
        module = here / f"{parts.pop(0)}.py"
    if not parts:
        return True
    return module.is_file() and len(parts) == 1 and parts[0] in names_in(tree(module).body)


@pytest.mark.parametrize("name", FILES)
def test_files_exist(name: str) -> None:
    if "NEW" in name:  # to be written: what exists is the folder that holds it, or the folder of a new folder
        folder = name[: name.index("NEW")]
        assert (PACKAGE / folder).is_dir() or (ROOT / folder).is_dir()
    else:  # of the package, of the repository, or of each family's folder
        folders = (PACKAGE, ROOT, *(PACKAGE / "families" / family for family in ("gains", "vae", "content")))
        assert any((folder / name).is_file() for folder in folders)


@pytest.mark.parametrize("name", DOTTED)
def test_names_exist(name: str) -> None:
    assert exists(name)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_exist(name: str) -> None:
    assert name in classes()


def test_what_is_checked_is_not_nothing() -> None:
    assert min(len(FILES), len(DOTTED), len(CLASSES)) > 10
    assert exists("codec.encoder.Encoder")
    assert exists("Encoder.analyse")
    for wrong in ("codec.encoder.Encodr", "codec.encodr.Encoder", "Encoder.analyze", "Encodr.analyse", "zoo.finds"):
        assert not exists(wrong)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (page, file.name)
        for file in sorted(PACKAGE.rglob("*.py"))
        for page in re.findall(r"\bdocs/[\w/-]+\.md", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert not [pair for pair in named if not (ROOT / pair[0]).exists()]


def between(name: str) -> str:
    return PAGE.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]


def test_the_layers_are_those_of_the_import_rules() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (rule["layers"] for rule in rules if rule["type"] == "layers")
    shown = [re.split(r"\s{3,}", line.strip())[0] for line in between("layers").splitlines() if line[4:5].strip()]
    assert shown == [layer.replace("glissando.", "") for layer in layers]


def test_the_numbers_of_files_are_right() -> None:
    """A row's number is that of the files it names; "those" are the files of the row above it."""
    before = 0
    rows = [line.strip("| ").split(" | ") for line in between("changes").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 9
    for change, files, number in rows:
        named = [name for name in re.findall(r"`([^`]+)`", files) if name in FILES]
        written = re.match(r"\d+", number)
        assert written is not None
        if files.startswith("a package with"):
            assert int(written[0]) == 0, change
        else:
            inherited = before if files.startswith("those") else 0
            each_family = len(named) if "a family" in number else 0
            assert int(written[0]) == inherited + len(named) - each_family, change
        before = int(written[0])
