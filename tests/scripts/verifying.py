"""scripts/verify_streaming.py as a process."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server.cli.process import PATIENCE_SECONDS, environment

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "verify_streaming.py"


@dataclass(frozen=True, slots=True)
class Verdict:
    status: int
    told: dict[str, Any]
    lines: str

    @property
    def failed(self) -> list[str]:
        failed: list[str] = self.told["failed"]
        return failed

    def outcome(self, name: str) -> str:
        return str(self.told["checks"][name]["outcome"])

    def detail(self, name: str) -> str:
        return str(self.told["checks"][name]["detail"])


async def verified(url: str, *options: str) -> Verdict:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), url, *options, env=environment(), stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode is not None
    assert out, err.decode()
    lines = out.decode()
    return Verdict(process.returncode, json.loads(lines.splitlines()[-1]), lines)
