"""What the README promises exists: links, settings, commands."""

import re
from pathlib import Path

from server.cli import app
from server.settings.settings import setting_names

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_settings_table_has_every_setting_and_no_other() -> None:
    table = TEXT.partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)) == sorted(setting_names())


def test_the_commands_table_has_every_command() -> None:
    table = TEXT.partition("| command | does |")[2].partition("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`([a-z]+)", row.partition("|")[2].split("|")[0])
    }
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named == commands | {group.name for group in app.registered_groups}


def test_every_name_in_the_tree_is_a_module_a_package_or_a_file_of_its_room() -> None:
    tree = TEXT.partition("## The tree")[2].split("```")[1]
    room, missing = ROOT, []
    for line in tree.splitlines():
        if heading := re.match(r"(models|retrieval|server)/ ", line):
            room = ROOT / heading[1]
        elif names := re.match(r"  (\S+(?:, \S+)*)  ", line):
            given = [room / name for name in names[1].split(", ")]
            missing += [str(path) for path in given if not path.exists() and not path.with_suffix(".py").exists()]
    assert missing == []


def test_every_benchmark_that_a_document_names_can_be_run() -> None:
    """By `python -m`; older days of the log too, as their figures are still compared with."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {
        (path.name, name)
        for path in documents
        for name in re.findall(r"python -m (benchmarks(?:\.[a-z_]+)+)", path.read_text())
    }
    assert named
    assert {pair for pair in named if not is_program(ROOT / pair[1].replace(".", "/"))} == set()


def is_program(path: Path) -> bool:
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    return file.exists() and '__name__ == "__main__"' in file.read_text()
