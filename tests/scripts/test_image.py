"""Dockerfile.cuda, .dockerignore, requirements-cuda.lock and runpod.toml: what can be proven without a Docker engine.

hadolint has its own step in `make check`; docs/pod.md says which steps of the build were run by hand.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from server.settings.settings import setting_names
from tests.server.cli.process import environment

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements-cuda.lock").read_text()
DOCKERFILE = (ROOT / "Dockerfile.cuda").read_text()


def tracked(*paths: str) -> set[str]:
    """What git keeps, or would: new files count before they are committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def copied() -> list[tuple[str, str]]:
    """(source, target) of every COPY."""
    pairs = []
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = shlex.split(line)
        pairs += [(source, target) for source in sources]
    return pairs


def in_context(path: str) -> bool:
    """By .dockerignore, whose only exclusions besides "*" are caches."""
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    return any(path == entry or path.startswith(f"{entry}/") for entry in kept)


def test_the_build_context_is_what_the_image_copies_and_nothing_else() -> None:
    wanted = {source for source, _ in copied()}
    assert all((ROOT / source).exists() for source in wanted)
    assert {path for source in wanted for path in tracked(source) if not in_context(path)} == set()
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(kept) == wanted


def test_the_base_image_is_pinned_and_its_entrypoint_replaced() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["vllm/vllm-openai:v0.33.0"]
    assert "ENTRYPOINT []" in DOCKERFILE
    assert os.access(ROOT / "scripts" / "pod_start.sh", os.X_OK)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built from the files that the image copies into /opt/build, as its RUN does."""
    context = tmp_path_factory.mktemp("build")
    for source, target in copied():
        if target.startswith("/opt/build"):
            for path in tracked(source):
                (context / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, context / path)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(context / "dist"), str(context)]
    subprocess.run(command, check=True, capture_output=True)
    return next((context / "dist").glob("*.whl"))


def test_the_wheel_carries_every_file_of_the_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert tracked("models", "retrieval", "server") <= names


def test_the_installed_wheel_finds_its_data_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = environment(PYTHONPATH=str(tmp_path / "site"))
    program = "import server.cli; print(server.cli.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "site")
    command = [sys.executable, "-m", "server.cli", "search", "anything", "--data", "data", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict | list)


def test_the_lock_of_the_image_has_every_dependency_with_a_hash_and_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["bundled"], *extras["cuda"]]
    pins = re.findall(r"^([a-z0-9-]+)==\S+ \\\n    --hash=sha256:", LOCK, re.MULTILINE)
    assert len(pins) == LOCK.count("==")
    assert {re.split(r"[\[<>=; ]", name)[0].lower() for name in wanted} <= set(pins)
    assert "://" not in LOCK


def test_the_server_and_vllm_run_on_one_cuda_and_apart() -> None:
    assert re.findall(r"^nvidia-cuda-runtime==(\d+\.\d+)", LOCK, re.MULTILINE) == ["13.0"]
    pins = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
    assert not {"vllm", "llama-cpp-python", "faiss-gpu"} & pins


def test_runpod_toml_has_every_key_that_runpodctl_asserts_with_its_type() -> None:
    """The assertions of runpodctl, cmd/project/functions.go; TOML integers are int64 there."""
    config = tomllib.loads((ROOT / "runpod.toml").read_text())
    project, runtime = config["project"], config["runtime"]
    assert isinstance(config["name"], str)
    for key in ("uuid", "base_image", "volume_mount_path", "ports"):
        assert isinstance(project[key], str), key
    for key in ("gpu_count", "container_disk_size_gb"):
        assert type(project[key]) is int, key
    for key in ("python_version", "handler_path", "requirements_path"):
        assert isinstance(runtime[key], str), key
    assert project["gpu_types"]
    assert all(isinstance(name, str) for name in project["gpu_types"])
    assert all(isinstance(value, str) for value in project["env_vars"].values())
    assert re.fullmatch("[0-9a-f]{8}", project["uuid"])
    assert re.fullmatch(r"\d+/(http|tcp)(, \d+/(http|tcp))*", project["ports"])
    assert (ROOT / runtime["handler_path"]).is_file()
    assert (ROOT / runtime["requirements_path"]).is_file()


def test_runpod_toml_names_real_settings_and_holds_no_secret() -> None:
    env = tomllib.loads((ROOT / "runpod.toml").read_text())["project"]["env_vars"]
    known = {"RAGPOD_" + name.upper().replace(".", "_") for name in setting_names()}
    assert {name for name in env if name.startswith("RAGPOD_")} <= known
    secrets = {value for name, value in env.items() if re.search("KEY|TOKEN|SECRET|PASSWORD", name)}
    assert all(re.fullmatch(r"\{\{ RUNPOD_SECRET_\w+ \}\}", value) for value in secrets)
