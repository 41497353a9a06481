"""`ragpod doctor`: what this machine can run, and why not the rest. `ragpod config`: the settings in force."""

import asyncio
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from shutil import disk_usage
from typing import Any

from models.engines.cards import cards
from models.profiles import Piece, diagnose, runnable
from retrieval.database.lock import holder_of
from retrieval.sandbox.tesseract import look
from server.app.profile import options
from server.cli.base.connection import load_settings
from server.cli.base.terminal import say, say_json
from server.settings.settings import Settings, config_file

GIB = 1 << 30
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key of TOML that needs no quotes


def doctor(data: Path | None, *, as_json: bool) -> int:
    """0 where at least one profile runs."""
    settings = load_settings(data_dir=data)
    chosen = options(settings)
    profiles = diagnose(chosen.models, chosen.engines)
    machine = facts(settings.data_dir) | {"ocr": ocr(settings)}
    if as_json:
        named = [
            {"name": name, "runs": runnable(parts), "pieces": [asdict(part) for part in parts]}
            for name, parts in profiles.items()
        ]
        say_json({"machine": machine, "profiles": named})
    else:
        for name, value in machine.items():
            say(f"{name:<10} {value}")
        for name, parts in profiles.items():
            say(f"\n{name}: {'runs here' if runnable(parts) else 'does not run here'}")
            for part in parts:
                say(_line(part))
    return 0 if any(map(runnable, profiles.values())) else 1


def facts(data_dir: Path) -> dict[str, Any]:
    """The machine and the data folder, in words."""
    existing = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    holder = holder_of(data_dir)
    used = f"in use by process {holder.pid}{f' at {holder.url}' if holder.url else ''}" if holder else "not in use"
    return {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": f"{memory / GIB:.1f} GiB",
        "gpu": ", ".join(map(str, cards())) or "none",
        "data": f"{data_dir} ({used}, {disk_usage(existing).free / GIB:.1f} GiB free)",
    }


def ocr(settings: Settings) -> str:
    """What recognises pictures of text, in words."""
    parsing = settings.parsing
    install = "Debian's packages tesseract-ocr and tesseract-ocr-kor"
    if (found := asyncio.run(look())) is None:
        return f"none: scans fail with needs_ocr ({install})"
    missing = [name for name in parsing.ocr_languages.split("+") if name not in found.languages]
    lacking = f"; not installed: {', '.join(missing)}, of {parsing.ocr_languages}" if missing else ""
    switched = "; switched off (parsing.ocr)" if parsing.ocr == "off" else ""
    return f"{found.version} ({', '.join(found.languages)}){lacking}{switched}"


def _line(part: Piece) -> str:
    line = f"  {'no ' if part.missing else 'yes'}  {part.name:<10} {part.runs}"
    if part.missing:
        line += f": {part.missing}" + (f"; {part.instead} instead" if part.instead else "")
    return line


def config(data: Path | None, *, as_json: bool) -> None:
    settings = load_settings(data_dir=data)
    if as_json:
        say_json(settings.effective())
        return
    file = config_file()
    say(f"# from RAGPOD_* variables, then {file}{'' if file.is_file() else ' (not there)'}, then the defaults")
    for line in toml_lines(settings.effective()):
        say(line)


def toml_lines(settings: Mapping[str, Any], *above: str) -> Iterator[str]:
    """TOML as ragpod.toml takes it, plain values before sections; a setting without a value is a comment. above: names
    of the sections that these stand in.
    """
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            yield f"# {name} is not set" if value is None else f"{_key(name)} = {_toml(value)}"
    for name, section in settings.items():
        if isinstance(section, Mapping):
            yield f"\n[{'.'.join(map(_key, (*above, name)))}]"
            yield from toml_lines(section, *above, name)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value)
