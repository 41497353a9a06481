from pathlib import Path

import pytest

from server.settings.settings import HIDDEN, Settings, SettingsError


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in os.environ:
        if name.startswith("RAGPOD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problem(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**given)
    return str(caught.value)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ragpod.toml").write_text('port = 1\nprofile = "cuda"\nlog_level = "debug"\n[limits]\nqueue = 3\n')
    monkeypatch.setenv("RAGPOD_PORT", "2")
    monkeypatch.setenv("RAGPOD_PROFILE", "embedded")
    settings = Settings.load(port=3, host=None)
    assert (settings.port, settings.profile, settings.log_level) == (3, "embedded", "debug")
    assert (settings.limits.queue, settings.host) == (3, "127.0.0.1")


def test_a_section_has_one_underscore_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_ENGINE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("RAGPOD_ENGINE_API_KEY", "upstream-secret")
    monkeypatch.setenv("RAGPOD_LIMITS_MAX_TOKENS", "77")
    settings = Settings.load()
    assert settings.engine.url == "http://127.0.0.1:9/v1"
    assert settings.engine.api_key is not None
    assert settings.engine.api_key.get_secret_value() == "upstream-secret"
    assert settings.limits.max_tokens == 77


def test_an_unknown_environment_name_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_ENGINE_URI", "http://x")
    monkeypatch.setenv("RAGPOD_APIKEYS", "not-to-be-printed")
    message = problem()
    assert "RAGPOD_ENGINE_URI: unknown setting; did you mean RAGPOD_ENGINE_URL?" in message
    assert "RAGPOD_APIKEYS: unknown setting; did you mean RAGPOD_API_KEYS?" in message
    assert "not-to-be-printed" not in message


def test_an_unknown_key_of_the_file_stops_the_start_and_is_named() -> None:
    Path("ragpod.toml").write_text("[limits]\nanwsers = 3\n")
    assert problem() == "limits.anwsers: unknown setting; did you mean limits.answers?"


def test_every_bad_value_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_LIMITS_QUEUE", "-1")
    lines = problem(port="abc", profile="tpu").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["port", "profile", "limits.queue"]
    assert "'tpu'" in lines[1]


def test_a_broken_or_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ragpod.toml").write_text("port = [")
    assert problem().startswith("ragpod.toml: ")
    monkeypatch.setenv("RAGPOD_CONFIG", "elsewhere.toml")
    assert problem() == "RAGPOD_CONFIG: no such file: elsewhere.toml"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])
def test_listening_off_loopback_without_a_key_is_refused(host: str) -> None:
    assert "RAGPOD_API_KEYS" in problem(host=host)
    assert Settings.load(host=host, api_keys=["k"]).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert Settings.load(host=host).api_keys == ()


def test_keys_are_split_at_commas_and_a_blank_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_API_KEYS", "first, second")
    assert [key.get_secret_value() for key in Settings.load().api_keys] == ["first", "second"]
    assert problem(api_keys=["  "]).startswith("api_keys: ")


def test_no_secret_is_ever_printed() -> None:
    settings = Settings.load(api_keys=["hush-hush"], engine={"api_key": "hush-too"})
    shown = f"{settings!r} {settings} {settings.effective()}"
    assert "hush" not in shown
    assert settings.effective()["api_keys"] == [HIDDEN]
    assert settings.effective()["engine"]["api_key"] == HIDDEN


def test_settings_do_not_change() -> None:
    settings = Settings.load()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.limits.queue = 1


def test_arguments_of_the_engine_are_split_as_by_a_shell_or_given_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_ENGINE_ARGUMENTS", """--enforce-eager --speculative-config '{"method": "ngram"}'""")
    assert Settings.load().engine.arguments == ("--enforce-eager", "--speculative-config", '{"method": "ngram"}')
    monkeypatch.delenv("RAGPOD_ENGINE_ARGUMENTS")
    Path("ragpod.toml").write_text('[engine]\narguments = ["--seed", "1"]\ntensor_parallel = 2\n')
    assert Settings.load().engine.arguments == ("--seed", "1")
    assert problem(engine={"arguments": "--open 'quote"}).startswith("engine.arguments: ")


def test_names_of_columns_come_from_the_file_or_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ragpod.toml").write_text('[parsing.columns]\nanswer = ["해결책", "조치"]\nquestion = "증상"\n')
    assert Settings.load().parsing.columns == {"answer": ("해결책", "조치"), "question": ("증상",)}
    monkeypatch.setenv("RAGPOD_PARSING_COLUMNS", '{"url": ["참고"]}')
    assert Settings.load().parsing.columns == {"url": ("참고",)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"anser": ["해결책"]}', "did you mean answer?"),
        ('{"answer": ["a"], "text": ["A"]}', "cannot be both 'answer' and 'text'"),
        ('{"answer": [""]}', "is blank"),
        ("answer=해결책", 'as in {"answer": '),
        ('["answer"]', 'as in {"answer": '),
        ('{"answer": 7}', "parsing.columns.answer: "),
    ],
)
def test_columns_that_cannot_be_meant_stop_the_start(monkeypatch: pytest.MonkeyPatch, given: str, says: str) -> None:
    monkeypatch.setenv("RAGPOD_PARSING_COLUMNS", given)
    message = problem()
    assert message.startswith("parsing.columns")
    assert says in message


@pytest.mark.parametrize("name", ["RAGPOD_WEBHOOKS_ALLOW", "RAGPOD_SOURCES_ALLOW_HOSTS"])
def test_hosts_that_cannot_be_meant_stop_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hooks.internal, 10.2.0.0/16,[::1]")
    loaded = Settings.load()
    assert ("hooks.internal", "10.2.0.0/16", "[::1]") in (loaded.webhooks.allow, loaded.sources.allow_hosts)
    for wrong in ("http://hooks", "hooks:8080", "*.internal", "10.0.0.1/8"):
        monkeypatch.setenv(name, f"other,{wrong}")
        message = problem()
        assert message.startswith(("webhooks.allow", "sources.allow_hosts"))
        assert f"{wrong!r} is no host" in message
