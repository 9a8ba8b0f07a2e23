"""MLflow's webhooks: the proof of who sent one, and what it says.

MLflow signs `<delivery id>.<timestamp>.<body>` with HMAC-SHA256, as Standard Webhooks do. Nothing here imports MLflow,
because the search service receives them.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

from personsearch.errors import UserError

SIGNATURE = "X-MLflow-Signature"
DELIVERY_ID = "X-MLflow-Delivery-Id"
TIMESTAMP = "X-MLflow-Timestamp"
VERSION = "v1"
ALIAS = "model_version_alias"
EVENTS = (f"{ALIAS}.created", f"{ALIAS}.deleted")  # a moved alias is created again
LONGEST_WAY_SECONDS = 300.0
SHORTEST_SECRET = 16
MOST_DIGITS = 15  # of a time in seconds that is read; a longer one is wrong by its first digits already


class WebhookRefused(UserError):
    """It does not come from our MLflow, or was sent long ago."""


def check_webhook(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> None:
    """Refuse a webhook that is not signed with our secret, or whose time is more than five minutes from ours.

    Raises:
        WebhookRefused: so that nobody else, and nobody who recorded one, can use the address.
    """
    timestamp, delivery = headers.get(TIMESTAMP, ""), headers.get(DELIVERY_ID, "")
    version, _, signature = headers.get(SIGNATURE, "").partition(",")
    try:
        presented = base64.b64decode(signature, validate=True)
        sent = int(timestamp[:MOST_DIGITS])
    except (ValueError, binascii.Error):
        raise WebhookRefused(f"no signature of MLflow ({SIGNATURE}: {VERSION},… expected)") from None
    signed = f"{delivery}.{timestamp}.".encode() + body
    if version != VERSION or not hmac.compare_digest(hmac.digest(secret.encode(), signed, hashlib.sha256), presented):
        raise WebhookRefused("signed with another secret; run `personsearch webhook` again after a change of it")
    if abs(now - sent) > LONGEST_WAY_SECONDS:
        where = "behind" if sent < now else "ahead of"
        raise WebhookRefused(f"sent by a clock {abs(now - sent):.0f} s {where} this machine's; set both by NTP")


def moved_alias_of(body: bytes) -> str | None:
    """The model of which an alias moved; None for anything else that MLflow tells."""
    try:
        told = json.loads(body)
        return str(told["data"]["name"]) if told["entity"] == ALIAS else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
