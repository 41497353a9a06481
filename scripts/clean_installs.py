"""A wheel of this checkout in clean environments: every combination of extras is installed, started and asked.

    python scripts/clean_installs.py [--only none,bundled+s3]

Each environment is a new one and holds what pip would put there. `bundled` is installed by the command that `ragpod
doctor` prints, as is anything else that it calls missing and has a command for. torch and transformers are put into one
folder, which the environments with `cuda` share: the same packages, installed once. What an extra that is not there
would be needed for must end in one line that names the command. Needs a package registry; ends non-zero at the first
failure.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("bundled", "postgresql", "s3", "cuda")
DOCUMENT = "# 배송\n\n배송은 결제 후 이틀 안에 도착합니다.\n\n# Refunds\n\nA refund arrives within five working days.\n"
QUESTIONS = (("배송은 며칠 걸리나요?", "이틀"), ("When does a refund arrive?", "five working days"))
# What is asked for, the extra that it needs, what the command in the message installs.
WANTING = (
    ({"RAGPOD_STORE_URL": "postgresql://u:p@127.0.0.1:9/none"}, "postgresql", "psycopg"),
    ({"RAGPOD_STORE_BLOBS": "s3://bucket?endpoint=http://127.0.0.1:9"}, "s3", "obstore"),
    ({"RAGPOD_PROFILE": "cuda", "RAGPOD_MODELS_DEVICE": "cpu"}, "cuda", "torch"),
)
START_SECONDS, COMMAND_SECONDS = 120, 300


@dataclass(frozen=True, slots=True)
class Tools:
    """uv: the program. wheel: of this checkout. torch: the folder with what `cuda` adds, where it is needed."""

    uv: Path
    wheel: Path
    torch: Path | None


@dataclass(frozen=True, slots=True)
class Environment:
    """folder: its own, empty but for the environment; the commands run in it."""

    folder: Path
    extras: frozenset[str]

    @property
    def ragpod(self) -> Path:
        return self.folder / "venv/bin/ragpod"

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command, env = [str(self.ragpod), *arguments], clean(**settings)
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )


def clean(**settings: str) -> dict[str, str]:
    """The caller's variables without those that lead Python, or ragpod, elsewhere."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("RAGPOD_", "PYTHON", "VIRTUAL_ENV"))}
    return ours | settings


def called(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def built(scratch: Path, python: Path) -> Path:
    """The wheel of what git tracks here; python: has setuptools and pip."""
    source, parts = scratch / "source", ("models", "retrieval", "server", "pyproject.toml", "README.md")
    for name in called("git", "ls-files", "-z", "--", *parts, cwd=ROOT).split("\0"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    called(python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", scratch / "dist", source)
    (wheel,) = (scratch / "dist").iterdir()
    return wheel


def prepared(scratch: Path, *, with_torch: bool) -> Tools:
    tools, torch = scratch / "tools/bin", scratch / "torch" if with_torch else None
    called(sys.executable, "-m", "venv", scratch / "tools")
    called(tools / "pip", "install", "-q", "uv", "setuptools>=77", "wheel")
    if torch:
        given = ("torch==2.13.0", "transformers>=5", "huggingface-hub>=1")
        called(tools / "pip", "install", "-q", "--target", torch, *given)
    return Tools(tools / "uv", built(scratch, tools / "python"), torch)


def installed(tools: Tools, folder: Path, extras: frozenset[str]) -> Environment:
    folder.mkdir()
    venv = folder / "venv"
    called(tools.uv, "venv", "-q", "--python", sys.executable, venv)
    named = ",".join(sorted(extras - {"bundled", "cuda"}))
    wanted = f"{tools.wheel}[{named}]" if named else str(tools.wheel)
    called(tools.uv, "pip", "install", "-q", "--python", venv / "bin/python", wanted)
    if "cuda" in extras:
        assert tools.torch is not None
        (packages,) = venv.glob("lib/python*/site-packages")
        (packages / "torch_of_all.pth").write_text(f"{tools.torch}\n")
    environment = Environment(folder, extras)
    if "bundled" in extras:
        mend(tools, environment)
    return environment


def mend(tools: Tools, environment: Environment) -> None:
    """Runs what doctor says of the embedded profile's engine, as it stands there."""
    said = environment.run("doctor").stdout
    line = next(line for line in said.splitlines() if "no   engine     SmolLM2" in line)
    command = line.partition("; pip install ")[2].partition(";")[0]
    expect(bool(command), f"doctor names no command: {line}")
    called(tools.uv, "pip", "install", "-q", "--python", environment.folder / "venv/bin/python", *command.split())
    expect("yes  engine     SmolLM2" in environment.run("doctor").stdout, "the engine is not there after the command")


@contextmanager
def served(environment: Environment) -> Iterator[str]:
    """The URL of `ragpod serve`, once it says that it is ready."""
    log = (environment.folder / "serve.log").open("w+")
    command = [str(environment.ragpod), "serve", "--port", "0"]
    with log, subprocess.Popen(command, cwd=environment.folder, env=clean(), stdout=log, stderr=log) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while "ragpod is ready at " not in (said := (environment.folder / "serve.log").read_text()):
                expect(process.poll() is None and time.monotonic() < until, f"it does not start:\n{said}")
                time.sleep(0.1)
            yield said.partition("ragpod is ready at ")[2].split()[0]
        finally:
            process.terminate()
            expect(process.wait(60) == 0, f"it ends with {process.returncode}")


def ask(environment: Environment) -> None:
    (environment.folder / "help.md").write_text(DOCUMENT, "utf-8")
    with served(environment) as url:
        done = environment.run("ingest", "help.md", "--url", url)
        expect(done.returncode == 0, f"ingest: {done.stdout}{done.stderr}")
        for question, said in QUESTIONS:
            done = environment.run("ask", question, "--url", url)
            expect(said in done.stdout and "[1]" in done.stdout, f"{question}: {done.stdout}{done.stderr}")


def want(environment: Environment) -> None:
    for settings, extra, package in WANTING:
        if extra in environment.extras:
            continue
        done = environment.run("serve", "--port", "0", **settings)
        lines = [line for line in done.stderr.splitlines() if line.startswith("ragpod: ")]
        named = len(lines) == 1 and "pip install" in lines[0] and package in lines[0]
        expect(done.returncode == 1 and named and "Traceback" not in done.stderr, f"{settings}: {done.stderr}")


def expect(truth: bool, otherwise: str) -> None:
    if not truth:
        raise SystemExit(otherwise)


def combinations(only: str | None) -> list[frozenset[str]]:
    if only:
        return [frozenset(name.split("+")) - {"none"} for name in only.split(",")]
    sizes = range(len(EXTRAS) + 1)
    return [frozenset(some) for size in sizes for some in itertools.combinations(EXTRAS, size)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="combinations, by name")
    every = combinations(parser.parse_args(arguments).only)
    with TemporaryDirectory() as scratch:
        tools = prepared(Path(scratch), with_torch=any("cuda" in extras for extras in every))
        for extras in every:
            name, since = "+".join(sorted(extras)) or "none", time.monotonic()
            environment = installed(tools, Path(scratch) / name, extras)
            ask(environment)
            want(environment)
            print(f"{name}: started, asked ({time.monotonic() - since:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
