"""The NVIDIA cards of this machine, as the driver's own tool tells of them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.engines.engine_process import child_environment

_QUERY = ("index", "uuid", "name", "memory.total", "compute_cap")
_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class Card:
    """memory: GiB, all of it. compute: CUDA compute capability, (8, 9) for Ada; FP8 arithmetic begins there."""

    name: str
    memory: float
    compute: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} ({self.memory:.0f} GiB)"


def cards(environment: Mapping[str, str] = os.environ) -> tuple[Card, ...]:
    """The cards that CUDA programs see, in CUDA's order; () where there is no driver or it does not answer."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return ()
    command = (smi, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits")
    env = child_environment(("CUDA", "NVIDIA_"))
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=env)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(visible(listed.stdout, environment.get("CUDA_VISIBLE_DEVICES")))


def visible(listing: str, devices: str | None) -> Iterator[Card]:
    """nvidia-smi's lines as cards. devices: CUDA_VISIBLE_DEVICES, indexes or UUIDs, which ends at the first unknown."""
    known: dict[str, Card] = {}
    for line in listing.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(_QUERY) and (card := _card(*parts[2:])):
            known |= {parts[0]: card, parts[1]: card}
    if devices is None:
        yield from (card for key, card in known.items() if key.isdigit())
        return
    for device in devices.split(","):
        key = device.strip()
        named = [card for known_key, card in known.items() if key and _names(key, known_key)]
        if not named:
            return
        yield named[0]


def _names(given: str, key: str) -> bool:
    """CUDA takes any unambiguous beginning of a UUID."""
    return given == key or (given.startswith("GPU-") and key.startswith(given))


def _card(name: str, memory: str, compute: str) -> Card | None:
    """None for a card that the driver lists but cannot describe ("[N/A]")."""
    try:
        major, minor = compute.split(".")
        return Card(name, float(memory) / _MIB_PER_GIB, (int(major), int(minor)))
    except ValueError:
        return None
