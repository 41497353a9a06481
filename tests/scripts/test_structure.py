"""scripts/structure.py and scripts/draw_structure.py, on small checkouts that are written for one test."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from draw_structure import GAP, HEIGHT, WIDTH, arranged, drawn  # type: ignore[import-not-found]
from structure import ROOT, House, cycles, mermaid, read, reduction, two_way  # type: ignore[import-not-found]


def house(root: Path, **sources: str) -> House:
    """`models__wire__sse` is models/wire/sse.py; every package gets its `__init__`."""
    for name, source in sources.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for folder in path.relative_to(root).parents[:-1]:
            (root / folder / "__init__.py").touch()
    return read(root)


@pytest.fixture
def three_rooms(tmp_path: Path) -> House:
    return house(
        tmp_path,
        models__base="",
        models__profiles="from models.wire import sse\n",
        models__wire__sse="import models.base\n",
        retrieval__types="",
        retrieval__store__rows="from retrieval import types\n",
        retrieval__ranking__search="from retrieval.store.rows import row\n",
        server__http__errors="from retrieval.store import rows\n",
        server__app__app="import models.profiles, retrieval.ranking.search\nfrom server.http import errors\n",
    )


@pytest.mark.parametrize(
    "source",
    [
        "import models.wire.sse",
        "from models.wire import sse",
        "from models.wire.sse import SseParser",
        "from ..wire import sse",
        "from ..wire.sse import SseParser",
        "def late():\n    from models.wire.sse import SseParser",
        "if TYPE_CHECKING:\n    from models.wire import sse",
        'importlib.import_module("models.wire.sse")',
    ],
)
def test_an_import_counts_however_it_is_written(tmp_path: Path, source: str) -> None:
    read_house = house(tmp_path, models__wire__sse="", models__engines__engine=source)
    assert read_house.imports["models.engines.engine"] == {"models.wire.sse"}
    assert read_house.arrows == {"models.engines": {"models.wire"}, "models.wire": set()}


def test_the_name_of_a_package_in_a_string_says_where_data_lies(tmp_path: Path) -> None:
    read_house = house(tmp_path, models__wire__sse="", models__engines__engine='files("models.wire")')
    assert read_house.imports["models.engines.engine"] == set()


def test_a_rooms_own_modules_stand_on_the_ground_or_on_the_roof(three_rooms: House) -> None:
    assert three_rooms.ground == {"models", "models.base", "retrieval", "retrieval.types", "server"}
    assert three_rooms.roof == {"models.profiles"}
    assert three_rooms.arrows == {
        "models.profiles": {"models.wire"},
        "models.wire": set(),
        "retrieval.ranking": {"retrieval.store"},
        "retrieval.store": set(),
        "server.app": {"models.profiles", "retrieval.ranking", "server.http"},
        "server.http": {"retrieval.store"},
    }


def test_a_flat_room_is_one_directory(tmp_path: Path) -> None:
    sources = {"server__state": "from server.openai import files", "server__openai__files": "import server.limits"}
    flat = house(tmp_path, **sources, server__limits="")
    assert two_way(flat.directory_arrows) == [("server", "server.openai")]
    assert two_way(flat.arrows) == []


def test_modules_are_read_as_if_they_stood_elsewhere(tmp_path: Path) -> None:
    flat = house(
        tmp_path, server__state="from server import answer", server__answer="def a():\n    import server.state"
    )
    moved = House(flat.modules, {"server.state": "server.app", "server.answer": "server.answering"})
    assert two_way(moved.arrows) == [("server.answering", "server.app")]


def test_cycles_and_what_a_longer_way_implies() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]
    assert reduction({"a": {"b", "c"}, "b": {"c"}}) == {"a": {"b"}, "b": {"c"}}
    assert reduction({"a": {"b", "c"}, "b": {"a", "c"}}) == {"a": {"b", "c"}, "b": {"a", "c"}}


def test_the_graph_for_the_documentation_has_every_folder(three_rooms: House) -> None:
    assert mermaid(three_rooms.arrows).splitlines() == [
        "flowchart TD",
        "    subgraph server",
        "        server.app & server.http",
        "    end",
        "    subgraph retrieval",
        "        retrieval.ranking & retrieval.store",
        "    end",
        "    subgraph models",
        "        models.profiles & models.wire",
        "    end",
        "    models.profiles --> models.wire",
        "    retrieval.ranking --> retrieval.store",
        "    server.app --> models.profiles & retrieval.ranking & server.http",
        "    server.http --> retrieval.store",
    ]


def test_in_the_picture_folders_keep_apart_and_arrows_go_down(three_rooms: House) -> None:
    picture = arranged(three_rooms)
    assert set(three_rooms.arrows) <= set(picture.x)
    for a, b in combinations(three_rooms.arrows, 2):
        aside = abs(picture.x[a] - picture.x[b]) >= WIDTH + GAP - 1e-6
        assert aside or abs(picture.y[a] - picture.y[b]) > HEIGHT
    for way in picture.chains:
        assert [picture.y[node] for node in way] == sorted(picture.y[node] for node in way)


def test_the_picture_is_an_svg_in_which_cycles_are_marked(three_rooms: House, tmp_path: Path) -> None:
    assert "cycle" not in {each.get("class") for each in ElementTree.fromstring(drawn(three_rooms)).iter()}
    knotted = house(tmp_path / "b", server__a__x="import server.b.y", server__b__y="import server.a.x")
    marked = [each for each in ElementTree.fromstring(drawn(knotted)).iter() if each.get("class") == "cycle"]
    assert len(marked) == 2


def test_both_scripts_run_by_themselves(three_rooms: House, tmp_path: Path) -> None:
    def run(script: str, *arguments: str | Path) -> str:
        command = [sys.executable, ROOT / "scripts" / script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    figures = json.loads(run("structure.py", tmp_path).splitlines()[-1])
    assert (figures["files"], figures["arrows between folders"], figures["cycles of folders"]) == (16, 6, 0)
    run("draw_structure.py", "out.svg", tmp_path)
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
