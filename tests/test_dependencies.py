"""docs/dependencies.md tells of every package that a user gets, and of those of the design card."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CARD = "vllm FlagEmbedding sentence-transformers rank-bm25 faiss-gpu fastapi sse-starlette torch".split()  # noqa: SIM905
PAGE = (ROOT / "docs/dependencies.md").read_text()


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;! ]", requirement)[0].lower() for requirement in requirements}


def test_every_package_that_is_installed_has_a_row() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {extra: given for extra, given in project["optional-dependencies"].items() if extra != "dev"}
    wanted = names(project["dependencies"]).union(*map(names, extras.values()), map(str.lower, CARD))
    cells = " ".join(line for line in PAGE.splitlines() if line.startswith("| "))
    told = {name.lower() for name in re.findall(r"`([\w-]+)`", cells)}
    assert sorted(wanted - told) == []
    assert all(f"| `{extra}` |" in PAGE for extra in extras)


def test_the_benchmarks_and_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"benchmarks\.(\w+)", PAGE))
    assert named
    assert [name for name in named if not list((ROOT / "benchmarks").glob(f"{name}*"))] == []
    files = re.findall(r"`((?:models|retrieval|server|tests)/[\w/.]+)`", PAGE)
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []
