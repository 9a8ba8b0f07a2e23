"""No credentials are shown, addresses are read as their clients read them, and this machine is reached directly."""

import logging
import os

import pytest

from personsearch.addresses import (
    HidingFormatter,
    describe_proxy,
    hide_credentials,
    is_on_this_machine,
    reach_this_machine_directly,
    split_credentials,
)
from personsearch.errors import UserError

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        for spelled in (name, name.upper()):
            monkeypatch.setenv(spelled, "")
            monkeypatch.delenv(spelled)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:pw@mlflow.example/x: refused", "https://***@mlflow.example/x: refused"),
        ("https://ann:p@w@mlflow.example/x", "https://***@mlflow.example/x"),
        ("https://a-token@git.example/org/data.git@main: no", "https://***@git.example/org/data.git@main: no"),
        ("postgresql+psycopg2://ann:pw@db/mlflow?sslmode=on", "postgresql+psycopg2://***@db/mlflow?sslmode=on"),
        ("postgresql://db/mlflow?user=ann&password=pw&x=1", "postgresql://db/mlflow?user=ann&password=***&x=1"),
        ("https://store.example/data?sig=abc%2F", "https://store.example/data?sig=***"),
        ("two: http://a:b@c http://d:e@f", "two: http://***@c http://***@f"),
        ("ssh://git@host/data.git and git@host:data.git", "ssh://git@host/data.git and git@host:data.git"),
        ("postgres//ann:pw@db/site: no", "postgres//***@db/site: no"),
        ("postgresql:/ann:pw@db/site", "postgresql:/***@db/site"),
        ("postgresql:ann:pw@db/site", "postgresql:***@db/site"),
        ("http:/a-token@host", "http:/***@host"),
        ("rtsp://cam/h264?user=ann&pass=pw&channel=1", "rtsp://cam/h264?user=ann&pass=***&channel=1"),
        ("rtsp://cam/live?usr=ann&passphrase=pw", "rtsp://cam/live?usr=ann&passphrase=***"),
        ("rtsp://cam/live?auth=YW5uOnB3", "rtsp://cam/live?auth=***"),
        ("rtsp://cam:554/user=ann_password=pw_channel=1.sdp", "rtsp://cam:554/user=ann_password=***"),
        ("rtsp://cam:554/user=ann&password=pw&channel=1.sdp", "rtsp://cam:554/user=ann&password=***&channel=1.sdp"),
        (
            "registry.example/serving:3@sha256:ab at host:5000/a@b",
            "registry.example/serving:3@sha256:ab at host:5000/a@b",
        ),
        ("sqlite:///var/mlflow.db", "sqlite:///var/mlflow.db"),
        ("https://host:5000/a@b?page=2#at@x", "https://host:5000/a@b?page=2#at@x"),
    ],
)
def test_credentials_are_hidden_and_nothing_else_is(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown
    assert hide_credentials(shown) == shown
    assert str(UserError(text)) == shown


def test_a_log_line_and_its_traceback_hide_them_too() -> None:
    try:
        raise RuntimeError("http://ann:pw@host")
    except RuntimeError as error:
        record = logging.makeLogRecord(
            {"msg": "at %s", "args": ("http://bob:secret@host",), "exc_info": (type(error), error, None)}
        )
    line = HidingFormatter("%(message)s").format(record)
    assert "at http://***@host" in line
    assert "pw" not in line
    assert "secret" not in line


def test_credentials_are_split_off_and_decoded() -> None:
    assert split_credentials("https://a%40b:p%2Fw@host:5000/x?y=1") == ("https://host:5000/x?y=1", "a@b", "p/w")
    assert split_credentials("http://[::1]:19530") == ("http://[::1]:19530", "", "")
    assert split_credentials("http://token@host") == ("http://host", "token", "")


def test_a_password_that_is_not_encoded_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="%2F") as refused:
        split_credentials("https://ann:pa/ss@host")
    assert "ss" not in str(refused.value).replace("address", "").replace("password", "")


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://user:pw@localhost:5000", True),
        ("http://[::1]:1", True),
        ("http://127.9.9.9", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_this_machine(address: str, here: bool) -> None:
    assert is_on_this_machine(address) is here


def test_a_proxy_is_named_where_requests_go_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe_proxy("http://milvus.example") == ""
    monkeypatch.setenv("http_proxy", "http://ann:pw@proxy.example:3128")
    expected = " through the proxy http://***@proxy.example:3128 (name milvus.example in no_proxy to go without)"
    assert describe_proxy("http://milvus.example") == expected
    assert describe_proxy("http://127.0.0.1:19530") == ""
    assert describe_proxy("https://milvus.example") == ""
    monkeypatch.setenv("no_proxy", ".example")
    assert describe_proxy("http://milvus.example") == ""


def test_what_no_proxy_names_already_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "a.example, .b.example")
    for _ in range(2):
        reach_this_machine_directly()
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "a.example,.b.example,127.0.0.1,localhost,::1"
    monkeypatch.setenv("no_proxy", "*")
    reach_this_machine_directly()
    assert os.environ["no_proxy"] == "*"
