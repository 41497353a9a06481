"""Makes a RunPod pod that runs the image of Dockerfile.cuda (REST, POST /v1/pods). It costs money until it is deleted.

    python scripts/pod_create.py --image ghcr.io/OWNER/ragpod:cuda13 --network-volume ID --dry-run
    python scripts/pod_create.py --image ghcr.io/OWNER/ragpod:cuda13 --network-volume ID

RUNPOD_API_KEY makes the pod. What is secret inside the pod is a RunPod secret, named here and never seen: by default
RAGPOD_API_KEYS is the secret `ragpod_api_keys`. --pass takes a value from this environment instead; the pod's owner can
read it in RunPod's console. Nothing secret is printed. Last line of the output: JSON.
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
from typing import Any

API = "https://rest.runpod.io/v1"
PORT = 8000
# 80 GB and more: FP8 weights of 32 GiB, BGE-M3 and the reranker, and a KV cache (docs/pod.md).
GPUS = (
    "NVIDIA H200",
    "NVIDIA H100 80GB HBM3",
    "NVIDIA H100 NVL",
    "NVIDIA H100 PCIe",
    "NVIDIA A100-SXM4-80GB",
    "NVIDIA A100 80GB PCIe",
)
SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
HIDDEN = "********"
Json = dict[str, Any]


def body(given: argparse.Namespace, env: dict[str, str]) -> Json:
    """A PodCreateInput of RunPod's API."""
    volume = {"networkVolumeId": given.network_volume} if given.network_volume else {"volumeInGb": given.volume_gb}
    place = {"dataCenterIds": given.data_center} if given.data_center else {}
    return {
        "name": given.name,
        "imageName": given.image,
        "computeType": "GPU",
        "cloudType": given.cloud,
        "gpuTypeIds": given.gpu or list(GPUS),
        "gpuTypePriority": "custom",  # in this order
        "gpuCount": given.gpu_count,
        "allowedCudaVersions": given.cuda,  # of the host's driver: the image's CUDA does not start on an older one
        "minRAMPerGPU": given.ram_gb,
        "containerDiskInGb": given.container_disk_gb,
        **volume,
        "volumeMountPath": "/workspace",
        **place,
        "ports": [f"{PORT}/{'tcp' if given.tcp else 'http'}", "22/tcp"],
        "env": env,
        "interruptible": given.interruptible,
    }


def environment_of(given: argparse.Namespace) -> dict[str, str]:
    """Raises ValueError: a secret in plain sight, a name that is not set here."""
    env: dict[str, str] = {"RAGPOD_PORT": str(PORT)}
    for name, value in given.env:
        if SECRET_NAME.search(name):
            raise ValueError(f"--env {name}: a secret has no place in a command line: use --secret or --pass")
        env[name] = value
    secrets = dict(given.secret)
    if "RAGPOD_API_KEYS" not in {*secrets, *given.passed}:
        secrets["RAGPOD_API_KEYS"] = "ragpod_api_keys"
    env |= {name: f"{{{{ RUNPOD_SECRET_{secret} }}}}" for name, secret in secrets.items()}
    for name in given.passed:
        if not os.environ.get(name):
            raise ValueError(f"--pass {name}: not set in this environment")
        env[name] = os.environ[name]
    return env


def create(api: str, key: str, wanted: Json) -> Json:
    """The pod as RunPod tells it. Raises OSError with RunPod's own words."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "User-Agent": "ragpod-pod-create"}
    request = urllib.request.Request(f"{api}/pods", json.dumps(wanted).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            told: Json = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:1000]
        raise OSError(f"RunPod answers HTTP {error.code}: {said}") from None


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+", name):
        raise argparse.ArgumentTypeError(f"not NAME=VALUE: {name}")
    return name, value


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, help="the pushed image")
    parser.add_argument("--name", default="ragpod")
    parser.add_argument("--gpu", action="append", help=f"in order of preference; default: {', '.join(GPUS)}")
    parser.add_argument("--gpu-count", type=int, default=1)
    parser.add_argument("--cuda", action="append", help="host's CUDA; default: 13.0")
    parser.add_argument("--network-volume", metavar="ID", help="survives the pod; its data center is the pod's")
    parser.add_argument("--volume-gb", type=int, default=120, help="of the pod's own, without --network-volume")
    parser.add_argument("--container-disk-gb", type=int, default=60)
    parser.add_argument("--ram-gb", type=int, default=64, help="at least, for each GPU")
    parser.add_argument("--data-center", action="append", metavar="ID")
    parser.add_argument("--cloud", choices=("SECURE", "COMMUNITY"), default="SECURE")
    parser.add_argument("--interruptible", action="store_true", help="cheaper, stopped at any time")
    parser.add_argument("--tcp", action="store_true", help="a plain TCP port instead of the HTTPS proxy")
    parser.add_argument("--env", action="append", type=pair, default=[], metavar="NAME=VALUE")
    parser.add_argument("--secret", action="append", type=pair, default=[], metavar="NAME=SECRET")
    parser.add_argument("--pass", dest="passed", action="append", default=[], metavar="NAME")
    parser.add_argument("--api", default=API, help=argparse.SUPPRESS)
    parser.add_argument("--dry-run", action="store_true", help="print the request and send nothing")
    return parser


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    given.cuda = given.cuda or ["13.0"]
    try:
        env = environment_of(given)
    except ValueError as error:
        parser.error(str(error))
    if given.dry_run:
        shown = body(given, env | dict.fromkeys(given.passed, HIDDEN))
        print(f"POST {given.api}/pods\nAuthorization: Bearer $RUNPOD_API_KEY\nContent-Type: application/json\n")
        print(json.dumps(shown, indent=2))
        return
    key = os.environ.get("RUNPOD_API_KEY") or parser.error("RUNPOD_API_KEY is not set")
    try:
        pod = create(given.api, key, body(given, env))
    except OSError as error:
        sys.exit(f"no pod was made: {error}")
    url = f"https://{pod['id']}-{PORT}.proxy.runpod.net"
    print(f"pod {pod['id']} is being made, {pod.get('costPerHr', '?')} $/h until it is stopped or deleted")
    if given.tcp:
        print("its address and port: RunPod's console, Connect, TCP port mappings")
    else:
        print(f"when it is up: RAGPOD_API_KEY=… python scripts/smoke_test.py {url} --wait 1800")
    print(json.dumps({"id": pod["id"], "url": None if given.tcp else url}))


if __name__ == "__main__":
    main()
