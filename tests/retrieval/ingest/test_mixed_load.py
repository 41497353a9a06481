"""benchmarks.kills on a small scale: files of many formats, kill -9 at random instants, the real parsers' processes."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.kills.__main__ import measured, state
from benchmarks.kills.load import AT_ONCE, make_load
from tests.retrieval.parsing.office.made import docx, line, paragraph, pptx, shape
from tests.retrieval.parsing.pdf.files import pdf, said
from tests.retrieval.parsing.sheets.workbook import rows, workbook

FILES = {
    "notice.md": b"# Notice\n\nThe library closes at six.\n\n- Loans end then.\n",
    "page.html": b"<h1>Page</h1><p>The oven heats to 220 degrees.</p>",
    "faq.csv": "질문,답변\n언제 오나요?,이틀 안에 도착합니다.\n환불은요?,사흘 안에 됩니다.\n".encode(),
    "rows.jsonl": "\n".join(json.dumps({"_id": str(n), "text": f"row {n}"}) for n in range(20)).encode() + b"\n",
    "letter.docx": docx(paragraph("A letter of two lines.") + paragraph("This is the second.")),
    "slides.pptx": pptx(shape(line("The first slide"))),
    "sheet.xlsx": workbook({"data": rows(["name", "price"], ["oven", 220], ["lamp", 12])}),
    "manual.pdf": pdf([said(72, 700, "The manual of the oven.")]),
}
HOSTILE = {"noise.docx": b"\x00\x01" * 100, "broken.jsonl": b'{"text": "a"}\n{"text": ', "empty.txt": b"  \n"}


@pytest.mark.skipif(sys.platform != "linux", reason="the children of a killed process end with it on Linux alone")
@pytest.mark.parametrize(
    ("seed", "files", "kills"),
    [
        pytest.param(1, 12, 3, marks=pytest.mark.slow),
        *(pytest.param(seed, 60, 25, marks=(pytest.mark.slow, pytest.mark.heavy)) for seed in (2, 3)),
    ],
)
def test_kill_9_at_random_instants_of_a_mixed_load_changes_nothing(
    tmp_path: Path, seed: int, files: int, kills: int
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    moves = make_load(written(tmp_path / "sound", FILES), written(tmp_path / "hostile", HOSTILE), files, folder, seed)
    row = measured(moves, kills, seed, tmp_path)
    assert (row.differing_files, row.wrong) == (0, "")
    assert row.kills == kills
    assert {each[0] for each in state(tmp_path / "killed")[0].values()} == {"completed", "failed"}


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def test_a_load_has_every_kind_of_move_and_is_the_same_for_its_seed(tmp_path: Path) -> None:
    sound, made = written(tmp_path / "sound", FILES), tmp_path / "made"
    made.mkdir()
    moves = make_load(sound, [], 300, made, 5)
    assert moves == make_load(sound, [], 300, made, 5)
    assert {move.kind for move in moves} == {"put", "same", "delete"}
    names = [move.name for move in moves if move.kind != "delete"]
    assert len(set(names)) < len(names) == 300  # some are changed
    contents = [Path(move.path).read_bytes() for move in moves if move.kind != "delete"]
    assert len(set(contents)) == len(contents)
    assert AT_ONCE == 8
