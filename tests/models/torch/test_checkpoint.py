"""What stops the start, and that it says why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.embedders.bge_m3 import BgeM3Embedder
from models.errors import Unavailable
from models.torch.checkpoint import fingerprint, local_folder
from tests import checkpoints

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch")]


@pytest.fixture
def copy(bge_m3_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bge_m3_checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def holding(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def of_shape(name: str, weight: tuple[int, ...], bias: tuple[int, ...]) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        import torch

        torch.save({"weight": torch.zeros(weight), "bias": torch.zeros(bias)}, folder / name)

    return save


def of_another_kind(folder: Path) -> None:
    import torch

    torch.save([1, 2], folder / "colbert_linear.pt")


def running_code(folder: Path) -> None:
    """A pickle that would create a file while it is read."""
    import pickle

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (folder / "ran",))

    (folder / "sparse_linear.pt").write_bytes(pickle.dumps(Touch()))


def without_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def of_a_smaller_vocabulary(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:1000].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", vocab_size=1000)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (without("colbert_linear.pt"), r"colbert_linear\.pt missing in .*copy"),
        (without("sparse_linear.pt"), r"sparse_linear\.pt missing in .*copy"),
        (without("config.json"), r"config\.json missing"),
        (without("model.safetensors"), "weights cannot be loaded"),
        (without_a_weight, r"would be random: encoder\.layer\.1\.output\.dense\.weight"),
        (cut_short, "weights cannot be loaded"),
        (of_shape("colbert_linear.pt", (8, 32), (8,)), r"colbert_linear\.pt: .*\(8, 32\).*not \(32, 32\)"),
        (of_shape("sparse_linear.pt", (1, 64), (1,)), r"sparse_linear\.pt: .*\(1, 64\).*not \(1, 32\)"),
        (of_shape("sparse_linear.pt", (1, 32), (2,)), r"sparse_linear\.pt"),
        (of_another_kind, r"colbert_linear\.pt: cannot be read as a linear layer"),
        (holding("sparse_linear.pt", b"<html>429"), r"sparse_linear\.pt: cannot be read as a linear layer"),
        (running_code, r"sparse_linear\.pt: cannot be read as a linear layer"),
        (of_a_smaller_vocabulary, "its tokenizer has 250002 tokens, its weights only 1000"),
        (holding("tokenizer.json", b"{}"), "tokenizer cannot be loaded"),
        (holding("config.json", b'{"model_type": "no such model"}'), "no such model"),
    ],
)
def test_a_broken_checkpoint_stops_the_start_and_names_what_is_wrong(
    copy: Path, broken: Callable[[Path], None], message: str
) -> None:
    broken(copy)
    with pytest.raises(Unavailable, match=message):
        BgeM3Embedder.load(str(copy), device="cpu")
    assert not (copy / "ran").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:63"}, "cuda:63"),
        ({"device": "tpu"}, "'tpu'"),
        ({"device": "mps"}, "'mps'"),
        ({"device": "cpu", "dtype": "int4"}, "'int4'"),
    ],
)
def test_an_unknown_device_or_number_format_is_named(
    bge_m3_checkpoint: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(Unavailable, match=message):
        BgeM3Embedder.load(str(bge_m3_checkpoint), **options)


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "nowhere", "a/b/c", ""])
def test_a_folder_that_is_not_there_is_not_asked_of_the_hub(model: str) -> None:
    with pytest.raises(Unavailable, match="no such folder, and it is not a hub id"):
        local_folder(model)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    constants = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub: make test-torch").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_hub_id_that_is_not_in_the_cache_is_named(hub_cache: Path) -> None:
    with pytest.raises(Unavailable, match=r"owner/model@v1: no such folder, and not to be had from the model hub"):
        local_folder("owner/model@v1")


def test_a_hub_id_is_found_in_the_cache_by_branch_and_by_commit(hub_cache: Path, bge_m3_checkpoint: Path) -> None:
    commit = "5617a9f61b028005a4858fdac845db406aefb181"
    model = hub_cache / "models--owner--model"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    shutil.copytree(bge_m3_checkpoint, model / "snapshots" / commit)
    assert local_folder("owner/model") == local_folder(f"owner/model@{commit}") == model / "snapshots" / commit
    with pytest.raises(Unavailable, match=r"missing\.pt missing in"):
        local_folder("owner/model", "missing.pt")


def test_a_copy_has_the_same_fingerprint_and_other_weights_or_heads_have_another(
    copy: Path, bge_m3_checkpoint: Path
) -> None:
    names = ("config.json", "tokenizer.json", "colbert_linear.pt", "sparse_linear.pt")
    seen = [fingerprint(bge_m3_checkpoint, names), fingerprint(copy, names)]
    checkpoints.heads(copy, 32, seed=7)
    seen.append(fingerprint(copy, names))
    checkpoints.bge_m3(copy, seed=7)
    seen.append(fingerprint(copy, names))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_a_text_is_cut_to_what_the_checkpoint_can_read_or_to_less(bge_m3_checkpoint: Path) -> None:
    limits = []
    for asked in (8192, 100):
        embedder = BgeM3Embedder.load(str(bge_m3_checkpoint), device="cpu", max_tokens=asked)
        embedder.close()
        limits.append(embedder.max_tokens)
    assert limits == [512, 100]
