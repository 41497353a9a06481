"""schemathesis over our own OpenAPI document: whatever is sent, no status above 499."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from tests.conformance.suite import CLIENTS, Served, add, completed
from tests.stub_engine import Finish, StubEngine

pytestmark = pytest.mark.conformance

SEED = 20261121


@dataclass(frozen=True, slots=True)
class Known:
    """A configuration that names a store, a file and a batch which exist."""

    configuration: Path
    file_id: str


@pytest.fixture(scope="module")
def known(quick: Served, tmp_path_factory: pytest.TempPathFactory) -> Known:
    with OpenAI(base_url=f"{quick.url}/v1", api_key=quick.key) as client:
        store = client.vector_stores.create(name="default")
        batch = client.vector_stores.file_batches.upload_and_poll(
            store.id, files=[("a.md", b"# A\n\nThe with statement closes a file.")], poll_interval_ms=50
        )
        (file,) = client.vector_stores.files.list(store.id)
    ids = {"store_id": store.id, "file_id": file.id, "batch_id": batch.id, "model": "ragpod"}
    path = tmp_path_factory.mktemp("schemathesis") / "schemathesis.toml"
    path.write_text("[parameters]\n" + "".join(f'"path.{name}" = "{value}"\n' for name, value in ids.items()))
    return Known(path, file.id)


RUNS = {
    "ids that exist": ("--max-examples", "30", "--exclude-method", "DELETE"),
    "ids of nothing, and deletes": ("--max-examples", "30"),
    "questions, field by field": (
        "--max-examples", "150", "--mode", "positive", "--phases", "fuzzing",
        "--include-path-regex", "^/v1/(chat/completions|responses|embeddings)$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_no_request_makes_a_500(quick: Served, stub: StubEngine, known: Known, environment: Path, name: str) -> None:
    stub.script("Hello", " [1].", Finish("stop"))
    exist = "nothing" not in name
    report = known.configuration.with_name(f"{name}.json")
    names = {"SCHEMATHESIS_MODEL": "ragpod", "SCHEMATHESIS_FILE": known.file_id} if exist else {}
    done = completed(
        [environment / "bin/schemathesis", *(("--config-file", known.configuration) if exist else ()),
         "run", f"{quick.url}/openapi.json", *RUNS[name], "--checks", "not_a_server_error", "--seed", str(SEED),
         "--header", f"Authorization: Bearer {quick.key}", "--generation-deterministic", "--continue-on-failure",
         "--no-color", "--request-timeout", "30", "--report", "json", "--report-json-path", report],
        cwd=known.configuration.parent,
        PYTHONPATH=str(CLIENTS),
        SCHEMATHESIS_HOOKS="schemathesis_hooks",
        **names,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    told = json.loads(report.read_text())
    cases, operations = told["test_cases"]["generated"], told["operations"]["tested"]
    outcome = "passed" if done.returncode == 0 else "failed"
    add(
        f"schemathesis {told['schemathesis_version']}",
        f"no 5xx, {name}",
        outcome,
        f"{operations} operations, {cases} requests",
    )
    assert done.returncode == 0, done.stdout
    assert cases > 100
