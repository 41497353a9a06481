"""`ragpod config`: the settings in force, secrets hidden."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from server.cli.connection import load_settings
from server.cli.terminal import say, say_json
from server.settings.settings import config_file


def run(data: Path | None, *, as_json: bool) -> None:
    settings = load_settings(data_dir=data)
    if as_json:
        say_json(settings.effective())
        return
    file = config_file()
    say(f"# from RAGPOD_* variables, then {file}{'' if file.is_file() else ' (not there)'}, then the defaults")
    for line in toml_lines(settings.effective()):
        say(line)


def toml_lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """TOML as ragpod.toml takes it, plain values before sections; a setting without a value is a comment."""
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            yield f"# {name} is not set" if value is None else f"{name} = {_toml(value)}"
    for name, section in settings.items():
        if isinstance(section, Mapping):
            yield f"\n[{name}]"
            yield from toml_lines(section)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value)
