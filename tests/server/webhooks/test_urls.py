"""What is wrong with a URL is said before anything is sent to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.outgoing.addresses import Allowed
from server.webhooks.urls import problem


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://example.com/hook?a=b", None),
        ("http://example.com:8080", None),
        ("https://[2606:4700:4700::1111]/", None),
        ("ftp://example.com", "http"),
        ("https://", "host"),
        ("example.com/hook", "http"),
        ("https://ann:secret@example.com", "password"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/a b", "spaces"),
        ("https://example.com:99999/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("http://127.0.0.1:8080/", "127.0.0.1 is not a public address: webhooks.allow"),
        ("http://[fe80::1%25eth0]/", "not a public address"),
        ("http://168.63.129.16/", "not a public address"),
        ("http://localhost/", "not a public address"),
        ("http://LOCALHOST./", "not a public address"),
        ("http://[::ffff:10.0.0.1]/", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, wrong: str | None) -> None:
    found = problem(url, Allowed())
    assert (found is None) if wrong is None else (wrong in (found or ""))


@given(st.text())
def test_any_text_is_a_url_or_has_a_problem(text: str) -> None:
    assert isinstance(problem(f"http://{text}", Allowed()), str | None)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:8080/", "localhost"),
        ("http://LOCALHOST./", "localhost"),
        ("http://localhost/", "127.0.0.0/8"),
        ("http://[::1]/", "::1"),
        ("http://10.2.3.4/", "10.2.0.0/16"),
        ("http://[::ffff:10.2.3.4]/", "10.2.0.0/16"),
    ],
)
def test_what_the_settings_name_is_no_problem(url: str, allowed: str) -> None:
    assert problem(url, Allowed([allowed])) is None
    assert "webhooks.allow" in (problem(url, Allowed(["192.168.0.0/16", "other"])) or "")
