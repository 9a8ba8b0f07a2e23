"""The receiver of docs/alerts.md accepts what we sign, and nothing else."""

import time
from typing import Any

from personsearch.installation.alerts.webhook import signed_headers
from tests.docs.pages import code_blocks

SECRET = "a-secret-for-the-tests"


def test_a_receiver_tells_our_webhooks_from_others() -> None:
    given: dict[str, Any] = {}
    [receiver] = [text for language, text in code_blocks("docs/alerts.md") if language == "python"]
    exec(receiver, given)
    is_ours, now = given["is_ours"], int(time.time())
    headers = signed_headers(SECRET, "1", now, b"{}")
    assert is_ours(SECRET, headers, b"{}")
    assert not is_ours(SECRET, headers, b"{ }")
    assert not is_ours("another-secret", headers, b"{}")
    assert not is_ours(SECRET, headers | {"webhook-id": "2"}, b"{}")
    assert not is_ours(SECRET, signed_headers(SECRET, "1", now - 600, b"{}"), b"{}")
