"""Names from outside in the log."""

import logging

from server.app.logs import LineFormatter


def test_a_record_is_one_line_and_nothing_in_it_acts() -> None:
    hostile = "x\n2026 ERROR forged\x1b[2J\u202e"
    record = logging.LogRecord("ragpod", logging.WARNING, "f", 1, "file %s", (hostile,), None)
    line = LineFormatter().format(record)
    assert line.endswith("WARNING ragpod: file x 2026 ERROR forged [2J")
    assert line.isprintable()


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("a\x1b[2Jb")
    except ValueError as error:
        record = logging.LogRecord("r", logging.ERROR, "f", 1, "it failed", (), (type(error), error, None))
    said = LineFormatter().format(record)
    assert said.split("\n")[1:] == ["ValueError: a [2Jb"]
