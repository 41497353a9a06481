"""From a folder to a cited answer through real processes: with a server, without one, and with one that is killed."""

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.cli.process import COMMAND, environment, ragpod, server

pytestmark = pytest.mark.slow
NOTES = "notes-" + "x" * 200
PAGE_BYTES = 4096
PLANETS = ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")


def write_notes(folder: Path, count: int) -> list[str]:
    """Small files, each about one thing of its own."""
    folder.mkdir()
    for number in range(count):
        planet = PLANETS[number % len(PLANETS)]
        text = f"# Expedition {number}\n\nExpedition {number} of the code name QX{number:03}Z went to {planet}.\n"
        (folder / f"note-{number:03}.md").write_text(text)
    return [f"{folder.name}/note-{number:03}.md" for number in range(count)]


def outcomes(printed: str) -> dict[str, str]:
    """File name -> outcome, of `ragpod ingest --json`."""
    return {line["name"]: line["outcome"] for line in map(json.loads, printed.splitlines())}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with six notes and one Korean page, put there without a server."""
    root = tmp_path_factory.mktemp("cli")
    write_notes(root / "notes", 6)
    (root / "notes" / "환불.md").write_text(
        "# 환불\n\n환불은 반품한 상품이 도착한 뒤 영업일 기준 3일 안에 처리됩니다.\n"
    )
    done = ragpod("ingest", "notes", "--data", "data", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "7 added, 0 unchanged, 0 failed" in done.stdout
    return root / "data"


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.heavy)], ids=["served", "alone"])
def served(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of it that a server has open, so that a command on it is a client and loads nothing; or that none has."""
    copy = Path(shutil.copytree(data.parent, tmp_path_factory.mktemp("served") / "cli")) / "data"
    with server(copy, RAGPOD_PROFILE="embedded") if request.param else contextlib.nullcontext():
        yield copy


def test_putting_the_same_files_again_changes_nothing(served: Path) -> None:
    done = ragpod("ingest", "notes", "--data", served, "--json", cwd=served.parent)
    assert set(outcomes(done.stdout).values()) == {"unchanged"}


def test_search_finds_a_code_name_and_explains_its_rank(data: Path) -> None:
    done = ragpod("search", "QX003Z", "--data", data, "--explain", cwd=data.parent)
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert "note-003.md" in first
    assert {"bm25", "dense", "fused", "rerank1", "rerank2", "rank"} <= set(done.stdout.split())
    assert "  milliseconds  embed " in done.stdout


def test_ask_streams_an_answer_with_its_source(data: Path) -> None:
    done = ragpod("ask", "환불은 언제 처리되나요?", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    answer, _, sources = done.stdout.partition("Sources")
    assert "3일" in answer
    assert "[1]" in answer
    assert "환불.md" in sources


def test_ask_without_evidence_declines_and_names_no_source(served: Path) -> None:
    done = ragpod("ask", "어제 부산 날씨는 어땠어?", "--data", served, "--json", cwd=served.parent)
    told = json.loads(done.stdout)
    assert told["ragpod"]["no_evidence"] is True
    assert told["citations"] == []
    assert told["answer"]


def test_an_unknown_store_is_named_with_those_that_exist(served: Path) -> None:
    done = ragpod("search", "x", "--store", "nope", "--data", served, cwd=served.parent)
    assert done.returncode == 1
    assert "'nope'" in done.stderr
    assert "default" in done.stderr


def test_check_agrees_and_rebuild_changes_no_result(data: Path) -> None:
    before = ragpod("search", "Jupiter", "--data", data, "--json", cwd=data.parent)
    assert ragpod("check", "--data", data, cwd=data.parent).returncode == 0
    assert ragpod("rebuild", "--data", data, cwd=data.parent).returncode == 0
    assert json.loads(ragpod("check", "--data", data, "--json", cwd=data.parent).stdout) == []
    after = ragpod("search", "Jupiter", "--data", data, "--json", cwd=data.parent)
    assert json.loads(before.stdout)["data"] == json.loads(after.stdout)["data"]


def test_a_backup_made_while_a_server_runs_is_restored_with_the_same_content(served: Path, tmp_path: Path) -> None:
    made = ragpod("backup", tmp_path / "copy.tar", "--data", served, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    restored = tmp_path / "restored"
    done = ragpod("restore", "copy.tar", "--data", restored, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checked = ragpod("check", "--data", restored, cwd=tmp_path)
    assert (checked.returncode, "agree" in checked.stdout) == (0, True), checked.stdout
    found = [
        json.loads(ragpod("search", "Jupiter", "--data", each, "--json", cwd=tmp_path).stdout)["data"]
        for each in (served, restored)
    ]
    assert found[0] == found[1]
    again = ragpod("restore", "copy.tar", "--data", restored, cwd=tmp_path)
    assert (again.returncode, "overwrites nothing" in again.stderr) == (1, True)


def test_a_file_that_cannot_be_read_as_a_document_fails_alone(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", 1)
    (tmp_path / "notes" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    done = ragpod("ingest", "notes", "--data", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert "1 added, 0 unchanged, 1 failed" in done.stdout
    assert "failed     notes/picture.png: " in done.stdout
    assert done.stdout.count("picture.png") == 1


def test_what_failed_is_tried_again_and_tells_how_it_ended(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", 1)
    (tmp_path / "notes" / "empty.txt").write_text("  ")
    ragpod("ingest", "notes", "--data", "data", cwd=tmp_path)
    again = ragpod("retry", "--all-failed", "--data", "data", "--json", cwd=tmp_path)
    assert (again.returncode, outcomes(again.stdout)) == (1, {"notes/empty.txt": "failed"})
    named = ragpod("retry", "notes/note-000.md", "--data", "data", "--json", cwd=tmp_path)
    assert (named.returncode, outcomes(named.stdout)) == (0, {"notes/note-000.md": "unchanged"})
    unknown = ragpod("retry", "nothing.md", "--data", "data", cwd=tmp_path)
    assert (unknown.returncode, "nothing.md" in unknown.stderr) == (1, True)


def test_ingest_tells_which_lines_of_a_table_it_read_as_plain_text(tmp_path: Path) -> None:
    rows = ["question;answer", 'How long?;"6 inches, or so', "How wide?;two, or three", 'How high?;about 12"']
    (tmp_path / "faq.csv").write_text("\n".join(rows))
    for _ in range(2):
        done = ragpod("ingest", "faq.csv", "--data", "data", cwd=tmp_path)
        assert done.returncode == 0
        assert "line 2: a quote is astray, the line is read as plain text" in done.stdout
    found = ragpod("search", "How wide?", "--data", "data", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["data"][0]["content"][0]["text"] == "How wide?\ntwo, or three"


def test_ingest_goes_through_the_server_that_has_the_folder_open(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", 3)
    with server(tmp_path / "data") as running:
        done = ragpod("ingest", "notes", "--data", "data", cwd=tmp_path)
        assert "3 added" in done.stdout, done.stderr
        found = ragpod("search", "QX002Z", "--url", running.url, cwd=tmp_path)
        assert "note-002.md" in found.stdout
        refused = ragpod("check", "--data", "data", cwd=tmp_path)
        assert "in use by process" in refused.stderr
        assert running.end(signal.SIGTERM) == 0
    assert ragpod("check", "--data", "data", cwd=tmp_path).returncode == 0


def test_a_server_with_a_key_is_used_with_the_key_only(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", 1)
    with server(tmp_path / "data", RAGPOD_API_KEYS="swordfish") as running:
        refused = ragpod("ingest", "notes", "--url", running.url, cwd=tmp_path)
        assert refused.returncode == 1
        assert "API key" in refused.stderr
        admitted = ragpod("ingest", "notes", "--url", running.url, cwd=tmp_path, RAGPOD_API_KEY="swordfish")
        assert admitted.returncode == 0, admitted.stderr


def test_killing_the_server_during_ingest_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    names = write_notes(tmp_path / NOTES, 60)
    acknowledged = ingest_until_killed(tmp_path)
    assert 0 < len(acknowledged) < len(names)
    assert ragpod("check", "--data", "data", cwd=tmp_path).returncode == 0
    with server(tmp_path / "data") as running:
        again = ragpod("ingest", NOTES, "--url", running.url, "--json", cwd=tmp_path)
        result = outcomes(again.stdout)
        assert again.returncode == 0, again.stderr
        assert sorted(result) == names
        assert {result[name] for name in acknowledged} == {"unchanged"}
        found = json.loads(ragpod("search", "QX001Z", "--url", running.url, "--json", cwd=tmp_path).stdout)
        assert [hit["filename"] for hit in found["data"]].count(f"{NOTES}/note-001.md") == 1
    checked = ragpod("check", "--data", "data", "--json", cwd=tmp_path)
    assert (checked.returncode, json.loads(checked.stdout)) == (0, [])


def ingest_until_killed(folder: Path) -> set[str]:
    """Kills the server after the fifth acknowledged file; the names of the files that ingest called added.

    The pipe holds a page, which is some fifteen lines with names as long as these: however late the kill, ingest has to
    wait before it comes to the last file.
    """
    with server(folder / "data") as running:
        command = [*COMMAND, "ingest", NOTES, "--url", running.url, "--json"]
        pipe, errors = {"stdout": subprocess.PIPE, "bufsize": 0, "pipesize": PAGE_BYTES}, folder / "errors"
        with (
            errors.open("wb") as log,
            subprocess.Popen(command, cwd=folder, env=environment(), stderr=log, **pipe) as ingest,
        ):
            assert ingest.stdout is not None
            first = [ingest.stdout.readline() for _ in range(5)]
            running.end(signal.SIGKILL)
            added = outcomes((b"".join(first) + ingest.stdout.read()).decode())
        assert ingest.returncode == 1
        assert "Traceback" not in errors.read_text()
    return {name for name, outcome in added.items() if outcome == "added"}


@pytest.mark.parametrize("served", [True], ids=["served"], indirect=True)
def test_a_changed_file_replaces_what_it_was_and_changes_back(served: Path, tmp_path: Path) -> None:
    """Through a server alone: without one it is six processes, and what a process finds of the last one's is tested by
    those above.
    """
    note, where = tmp_path / "note.md", ("--store", "birds", "--data", served)
    for word in ("Kestrel", "Osprey", "Kestrel"):
        note.write_text(f"# Note\n\nThe bird of the day is called {word}.\n")
        done = ragpod("ingest", "note.md", *where, cwd=tmp_path)
        assert "1 added" in done.stdout, done.stderr
        found = json.loads(ragpod("search", "bird", *where, "--json", cwd=tmp_path).stdout)
        assert [word in hit["content"][0]["text"] for hit in found["data"]] == [True]


def test_eval_measures_every_stage_of_a_beir_folder(tmp_path: Path) -> None:
    folder = tmp_path / "planets"
    folder.mkdir()
    rows = [{"_id": planet, "title": "", "text": f"The moons of {planet} were counted twice."} for planet in PLANETS]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "How many moons has Saturn?"}))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tSaturn\t1\n")
    done = ragpod("eval", "planets", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert {"bm25", "dense", "fused", "rerank1", "rerank2"} <= set(stages)
    assert all(stages[stage]["ndcg@10"] == 1 for stage in ("bm25", "rerank2"))
