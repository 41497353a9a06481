"""nvidia-smi's lines as cards."""

import os
from pathlib import Path

import pytest

from models.engines.cards import Card, cards, visible

LISTING = """\
0, GPU-aa11, NVIDIA GeForce RTX 4090, 24564, 8.9
1, GPU-bb22, NVIDIA GeForce RTX 4090, 24564, 8.9
2, GPU-cc33, NVIDIA H100 80GB HBM3, 81559, 9.0
"""
RTX = Card("NVIDIA GeForce RTX 4090", 24564 / 1024, (8, 9))
H100 = Card("NVIDIA H100 80GB HBM3", 81559 / 1024, (9, 0))


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (None, [RTX, RTX, H100]),
        ("2,0", [H100, RTX]),
        ("GPU-cc33", [H100]),
        ("GPU-c", [H100]),
        ("", []),
        ("-1", []),
        ("0,7,1", [RTX]),
    ],
)
def test_cuda_visible_devices_chooses_among_them(devices: str | None, expected: list[Card]) -> None:
    assert list(visible(LISTING, devices)) == expected


def test_a_card_that_the_driver_cannot_describe_is_left_out() -> None:
    assert list(visible("0, GPU-1, NVIDIA A100, [N/A], 8.0\nNo devices were found\n", None)) == []


def test_a_machine_without_the_drivers_tool_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == ()


@pytest.mark.parametrize(("body", "count"), [(f"cat <<'END'\n{LISTING}END", 3), ("exit 9", 0)])
def test_the_drivers_tool_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, count: int) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert len(cards({})) == count
    assert str(H100) == "NVIDIA H100 80GB HBM3 (80 GiB)"
