"""Checkpoints in the Hugging Face layout: found in a folder or in the hub's cache, loaded whole or not at all."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import Unavailable
from models.packages import command
from models.torch.torch_device import import_torch

# Copies of the weights for other programs, and pictures.
_UNUSED = ("onnx/*", "openvino/*", "imgs/*", "*.jpg", "*.png", "*.gguf", "*.h5", "*.msgpack", "*.ot")
_HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_SAMPLES, _SAMPLE_BYTES = 16, 1 << 16


def local_folder(model: str, *needed: str) -> Path:
    """The folder of `model`: itself a folder, or a hub id OWNER/NAME[@REVISION].

    A hub id is looked up in the hub's cache first; only what is missing there is downloaded, and nothing where
    HF_HUB_OFFLINE is set. needed: names of files that must be in it, beside config.json. Blocking. Raises Unavailable.
    """
    named = _HUB_ID.fullmatch(model)
    if model and Path(model).is_dir():
        folder = Path(model)
    elif named:
        folder = _from_hub(named["repo"], named["revision"], model)
    else:
        raise Unavailable(f"{model}: there is no such folder, and it is not a hub id (OWNER/NAME)")
    if absent := [name for name in ("config.json", *needed) if not (folder / name).is_file()]:
        raise Unavailable(f"{model}: {', '.join(absent)} missing in {folder}")
    return folder


def _from_hub(repo: str, revision: str | None, model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise Unavailable(f"{model}: {error.name or error} is not installed: {command('huggingface_hub')}") from error
    try:
        try:
            found = snapshot_download(repo, revision=revision, ignore_patterns=_UNUSED, local_files_only=True)
        except LocalEntryNotFoundError:
            found = snapshot_download(repo, revision=revision, ignore_patterns=_UNUSED)
    # An HTTP client's, a file system's and the hub's own errors have no common base.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise Unavailable(f"{model}: no such folder, and not to be had from the model hub: {reason}") from error
    return Path(found)


def load_encoder(folder: Path, dtype: Any) -> Any:
    """The bare encoder (AutoModel), on the CPU, in evaluation mode, without a pooler. Blocking.

    Raises Unavailable where a weight is missing or of another shape: transformers would only warn and make one up.
    """
    model = _load("AutoModel", folder, dtype, optional="pooler.")
    if hasattr(model, "pooler"):
        model.pooler = None
    return model


def load_classifier(folder: Path, dtype: Any) -> Any:
    """As load_encoder, with its classification head; Raises Unavailable too where that has not exactly one label."""
    model = _load("AutoModelForSequenceClassification", folder, dtype)
    if model.config.num_labels != 1:
        raise Unavailable(f"{folder}: a reranker gives one number for a pair, this model {model.config.num_labels}")
    return model


def _load(auto_class: str, folder: Path, dtype: Any, optional: str = "\0") -> Any:
    """optional: how the names of weights begin that may be missing."""
    loader = getattr(_import_transformers(), auto_class)
    try:
        model, found = loader.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    # Each model class, file format and parser fails in its own way.
    except Exception as error:
        raise Unavailable(f"{folder}: the weights cannot be loaded: {error}") from error
    if missing := sorted(key for key in found["missing_keys"] if not key.startswith(optional)):
        raise Unavailable(f"{folder}: weights missing, so they would be random: {_some(missing)}")
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """AutoTokenizer's fast tokenizer. Raises Unavailable."""
    transformers = _import_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as load_encoder
        raise Unavailable(f"{folder}: the tokenizer cannot be loaded: {error}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise Unavailable(f"{folder}: {type(tokenizer).__name__} knows no character offsets: tokenizer.json is missing")
    return tokenizer


def load_linear(path: Path, inputs: int, outputs: int | None = None) -> Any:
    """torch.nn.Linear of a file with `weight` (outputs, inputs) and `bias` (outputs,).

    outputs: None takes any number. Raises Unavailable, naming the file.
    """
    torch = import_torch()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weight, bias = state["weight"], state["bias"]
        shapes = (tuple(weight.shape), tuple(bias.shape))
    except Exception as error:  # a truncated, foreign or hostile file fails in many ways
        raise Unavailable(f"{path}: cannot be read as a linear layer: {str(error).partition(chr(10))[0]}") from error
    outputs = outputs or (shapes[0][0] if shapes[0] else 0)
    expected = ((outputs, inputs), (outputs,))
    if shapes != expected:
        raise Unavailable(
            f"{path}: weight and bias are {shapes[0]} and {shapes[1]}, not {expected[0]} and {expected[1]}"
        )
    linear = torch.nn.Linear(inputs, outputs)
    linear.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return linear.eval()


def fingerprint(folder: Path, names: Sequence[str]) -> str:
    """12 hex digits of what the model computes: the files `names` in full, the weights in samples (2 GB take seconds).

    The same for a folder and for its copy, whatever device or number format it is loaded for.
    """
    digest = hashlib.sha256()
    for name in names:
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    weights = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for i in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:12]


def _import_transformers() -> Any:
    import_torch()
    try:
        import transformers
    except ImportError as error:
        raise Unavailable(f"transformers cannot be imported ({error}): {command('torch', 'transformers')}") from error
    # A server's stderr is for its log, and what transformers warns of at loading stops the start here.
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
