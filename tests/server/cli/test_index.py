"""`ragpod index`, as people run it."""

import json
from pathlib import Path
from typing import Any

from tests.server.cli.process import ragpod, server

SMALL = {"RAGPOD_RETRIEVAL_PASSAGE_TOKENS": "100", "RAGPOD_RETRIEVAL_PASSAGE_OVERLAP": "0"}


def listed(folder: Path) -> dict[str, Any]:
    """By state."""
    done = ragpod("index", "list", "--store", "shelf", "--json", "--data", "data", cwd=folder)
    assert done.returncode == 0, done.stderr
    return {each["state"]: each for each in json.loads(done.stdout)}


def test_other_passages_are_made_switched_back_and_dropped(tmp_path: Path) -> None:
    text = " ".join(f"word{i} stands here." for i in range(60))
    (tmp_path / "a.txt").write_text(text)
    assert ragpod("ingest", "a.txt", "--store", "shelf", "--data", "data", cwd=tmp_path).returncode == 0
    with server(tmp_path / "data", **SMALL):
        while "building" in (states := listed(tmp_path)):
            assert "found" in states
        assert (states["found"]["made_by"]["passage_tokens"], states["kept"]["made_by"]["passage_tokens"]) == (100, 180)
        assert states["found"]["passages"] > states["kept"]["passages"] > 0
        back = ragpod("index", "switch", states["kept"]["id"], "--data", "data", cwd=tmp_path)
        assert (back.returncode, "is found from now on" in back.stdout) == (0, True), back.stderr
        states = listed(tmp_path)
        assert (states["found"]["made_by"]["passage_tokens"], states["refused"]["waiting"]) == (180, 0)
        told = ragpod("index", "list", "--data", "data", cwd=tmp_path).stdout
        assert f"{states['refused']['id']}  refused" in told
        dropped = ragpod("index", "drop", states["refused"]["id"], "--data", "data", cwd=tmp_path)
        assert dropped.returncode == 0, dropped.stderr
        assert list(listed(tmp_path)) == ["found"]
        unknown = ragpod("index", "switch", "vs_none", "--data", "data", cwd=tmp_path)
        assert (unknown.returncode, "no generation 'vs_none'" in unknown.stderr) == (1, True)
