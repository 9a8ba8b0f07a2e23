"""A webhook is believed only with MLflow's own signature, made with our secret and of now."""

import json
from collections.abc import Mapping

import pytest
from mlflow.entities.webhook import WebhookEvent
from mlflow.webhooks import constants
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import get_example_payload_for_event

from personsearch.integrations.mlflow.webhooks import (
    DELIVERY_ID,
    EVENTS,
    SIGNATURE,
    TIMESTAMP,
    WebhookRefused,
    check_webhook,
    moved_alias_of,
)

SECRET = "a-secret-of-this-test"
NOW = 1_800_000_000.0


def webhook(secret: str = SECRET, body: str = "{}", *, sent: float = NOW) -> Mapping[str, str]:
    """The headers that MLflow's own code sends with a body."""
    at = str(int(sent))
    return {SIGNATURE: _generate_hmac_signature(secret, "delivery", at, body), TIMESTAMP: at, DELIVERY_ID: "delivery"}


def test_names_are_those_of_mlflow() -> None:
    assert constants.WEBHOOK_SIGNATURE_HEADER == SIGNATURE
    assert constants.WEBHOOK_TIMESTAMP_HEADER == TIMESTAMP
    assert constants.WEBHOOK_DELIVERY_ID_HEADER == DELIVERY_ID
    assert [str(WebhookEvent.from_str(event)) for event in EVENTS] == list(EVENTS)


@pytest.mark.parametrize("late", [-299, 0, 299])
def test_what_mlflow_signs_is_believed(late: float) -> None:
    check_webhook(SECRET, webhook(body="{ä}"), "{ä}".encode(), now=NOW + late)


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, b"{}", "no signature of MLflow"),
        ({**webhook(), SIGNATURE: "v1,not base64"}, b"{}", "no signature of MLflow"),
        ({**webhook(), SIGNATURE: webhook()[SIGNATURE].replace("v1", "v2")}, b"{}", "another secret"),
        ({**webhook(), TIMESTAMP: "soon"}, b"{}", "no signature of MLflow"),
        ({**webhook(), TIMESTAMP: str(int(NOW) + 1)}, b"{}", "another secret"),
        ({**webhook(), DELIVERY_ID: "another"}, b"{}", "another secret"),
        (webhook("another-secret-of-it"), b"{}", "another secret; run `personsearch webhook` again"),
        (webhook(), b"{ }", "another secret"),
        (webhook(sent=NOW - 301), b"{}", "sent by a clock 301 s behind this machine's; set both by NTP"),
        (webhook(sent=NOW + 600), b"{}", "600 s ahead of this machine's"),
        (webhook(sent=10**400), b"{}", "s ahead of this machine's"),
        (webhook(sent=-(10**400)), b"{}", "s behind this machine's"),
    ],
)
def test_anything_else_is_refused(headers: Mapping[str, str], body: bytes, reason: str) -> None:
    with pytest.raises(WebhookRefused, match=reason):
        check_webhook(SECRET, headers, body, now=NOW)


@pytest.mark.parametrize("event", EVENTS)
def test_the_model_of_a_moved_alias_is_read(event: str) -> None:
    told = {"entity": event.partition(".")[0], "data": get_example_payload_for_event(WebhookEvent.from_str(event))}
    assert moved_alias_of(json.dumps(told).encode()) == "example_model"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"[]",
        b"{}",
        b'{"entity": "model_version", "data": {"name": "x"}}',
    ],
)
def test_other_events_name_no_model(body: bytes) -> None:
    assert moved_alias_of(body) is None
