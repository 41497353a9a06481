"""scripts/pod_create.py against RunPod's API on a real socket."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.server.cli.process import environment

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pod_create.py"
KEY = "rpa_secret_of_the_account"
# PodCreateInput of RunPod's published OpenAPI document: what a request may hold.
FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
        allowedCudaVersions cloudType computeType containerDiskInGb containerRegistryAuthId countryCodes
        cpuFlavorIds cpuFlavorPriority dataCenterIds dataCenterPriority dockerEntrypoint dockerStartCmd env
        globalNetworking gpuCount gpuTypeIds gpuTypePriority imageName interruptible locked minDiskBandwidthMBps
        minDownloadMbps minRAMPerGPU minUploadMbps minVCPUPerGPU name networkVolumeId ports supportPublicIp
        templateId vcpuCount volumeInGb volumeMountPath
        """,
    )
)
GPUS = {
    "NVIDIA H200",
    "NVIDIA H200 NVL",
    "NVIDIA H100 80GB HBM3",
    "NVIDIA H100 NVL",
    "NVIDIA H100 PCIe",
    "NVIDIA A100-SXM4-80GB",
    "NVIDIA A100 80GB PCIe",
    "NVIDIA L40S",
    "NVIDIA GeForce RTX 4090",
    "NVIDIA B200",
}


@dataclass
class RunPod:
    url: str = ""
    refuse: bool = False
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def pods(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers["Authorization"], await request.json()))
        if self.refuse:
            return web.json_response({"error": "There are no instances currently available"}, status=500)
        return web.json_response({"id": "abc123", "costPerHr": "3.99"}, status=201)


@pytest.fixture
async def runpod() -> AsyncIterator[RunPod]:
    fake = RunPod()
    app = web.Application()
    app.router.add_post("/v1/pods", fake.pods)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield fake
    await runner.cleanup()


async def ran(runpod: RunPod, *arguments: str, **env: str) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), "--image", "example/ragpod:cuda13", "--api", runpod.url, *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environment() | env, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode() + err.decode()


async def test_the_dry_run_prints_the_request_that_is_then_sent(runpod: RunPod) -> None:
    options = ("--network-volume", "vol1", "--env", "RAGPOD_LOG_LEVEL=debug", "--secret", "HF_TOKEN=hf")
    status, shown = await ran(runpod, *options, "--dry-run")
    assert (status, runpod.requests) == (0, [])
    status, said = await ran(runpod, *options, RUNPOD_API_KEY=KEY)
    assert status == 0
    [(authorization, sent)] = runpod.requests
    assert authorization == f"Bearer {KEY}"
    assert KEY not in said
    assert sent == json.loads(shown.partition("\n\n")[2])
    assert json.loads(said.splitlines()[-1]) == {"id": "abc123", "url": "https://abc123-8000.proxy.runpod.net"}
    assert sent["env"] == {
        "RAGPOD_PORT": "8000",
        "RAGPOD_LOG_LEVEL": "debug",
        "HF_TOKEN": "{{ RUNPOD_SECRET_hf }}",
        "RAGPOD_API_KEYS": "{{ RUNPOD_SECRET_ragpod_api_keys }}",
    }


@pytest.mark.parametrize("options", [(), ("--tcp", "--interruptible", "--data-center", "EU-RO-1", "--gpu-count", "2")])
async def test_a_request_holds_only_what_the_api_knows(runpod: RunPod, options: tuple[str, ...]) -> None:
    _, shown = await ran(runpod, *options, "--dry-run")
    sent = json.loads(shown.partition("\n\n")[2])
    assert set(sent) <= FIELDS
    assert set(sent["gpuTypeIds"]) <= GPUS
    assert sent["allowedCudaVersions"] == ["13.0"]
    assert ("8000/tcp" in sent["ports"]) == ("--tcp" in options)
    assert all(isinstance(value, str) for value in sent["env"].values())


async def test_a_secret_is_refused_in_the_command_line_and_hidden_where_it_is_passed(runpod: RunPod) -> None:
    status, said = await ran(runpod, "--env", "RAGPOD_API_KEYS=abc", "--dry-run")
    assert (status, "use --secret or --pass" in said) == (2, True)
    options = ("--pass", "RAGPOD_API_KEYS")
    status, said = await ran(runpod, *options, "--dry-run")
    assert (status, "not set in this environment" in said) == (2, True)
    status, said = await ran(runpod, *options, "--dry-run", RAGPOD_API_KEYS="my-own-key")
    assert (status, "my-own-key" in said, "********" in said) == (0, False, True)
    status, said = await ran(runpod, *options, RAGPOD_API_KEYS="my-own-key", RUNPOD_API_KEY=KEY)
    assert (status, "my-own-key" in said) == (0, False)
    assert runpod.requests[0][1]["env"]["RAGPOD_API_KEYS"] == "my-own-key"


async def test_a_refusal_ends_with_the_words_of_runpod(runpod: RunPod) -> None:
    runpod.refuse = True
    status, said = await ran(runpod, RUNPOD_API_KEY=KEY)
    assert (status, "no instances currently available" in said, KEY in said) == (1, True, False)
    status, said = await ran(runpod, RUNPOD_API_KEY="")
    assert (status, "RUNPOD_API_KEY is not set" in said) == (2, True)
