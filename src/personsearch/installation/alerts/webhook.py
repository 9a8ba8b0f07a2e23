"""Sends one signed webhook, to an address that may be anybody's.

A message is signed as Standard Webhooks are: HMAC-SHA256 over `<id>.<timestamp>.<body>`. Redirects are not followed, no
proxy is asked, and only public addresses are connected to: who may watch a search must not reach what only this machine
can. The address that was checked is the one that is connected to, so a name that changes its mind gains nothing.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from personsearch.errors import UserError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SHORTEST_SECRET = 16
LONGEST_ADDRESS = 2000
ANSWER_SECONDS = 10.0  # for connection and answer together
LATE = "no answer in {:g} s"
PORTS = {"https": 443, "http": 80}
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052


class WebhookFailed(UserError):
    """The receiver was not told; the message is the reason."""


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver recognises us."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: f"v1,{signature}"}


def checked_address(address: str, *, private: bool) -> str:
    """The address of a webhook, unless it is none. With `private` it may be plain HTTP and of this network.

    Raises:
        UserError: it is not `https://HOST/…`, or names an address that is not public.
    """
    parts = _parts(address)
    if parts is None or parts.scheme not in (PORTS if private else ("https",)):
        raise UserError("webhook: https://HOST/PATH without user, password or fragment expected")
    if not private and _is_private(parts.hostname or ""):
        raise UserError(
            f"webhook: {parts.hostname} is no public address; PERSONSEARCH_ALERT_PRIVATE_WEBHOOKS allows it"
        )
    return address


def send(address: str, headers: Mapping[str, str], body: bytes, *, private: bool) -> None:
    """Post a body; returns once the receiver has taken it.

    Raises:
        WebhookFailed: it is not reached, may not be, does not answer in time, or answers anything but 2xx.
    """
    parts = _parts(checked_address(address, private=private))
    assert parts is not None
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    connection = _Pinned(host, port, _resolved(host, port, private=private), secure=parts.scheme == "https")
    # one limit for everything: a receiver that sends a byte at a time would otherwise hold us for ever
    limit = threading.Timer(ANSWER_SECONDS, connection.abort)
    limit.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        late = connection.aborted or isinstance(error, TimeoutError)
        raise WebhookFailed(LATE.format(ANSWER_SECONDS) if late else f"not reached: {error}") from error
    finally:
        limit.cancel()
        connection.close()
    if connection.aborted:  # what had arrived by then may look like an answer
        raise WebhookFailed(LATE.format(ANSWER_SECONDS))
    if not 200 <= status < 300:
        raise WebhookFailed(f"answered {status}; 2xx expected")


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that a host's name had when it was checked."""

    def __init__(self, host: str, port: int, resolved: str, *, secure: bool) -> None:
        super().__init__(host, port, timeout=ANSWER_SECONDS)
        self._resolved = resolved
        self._secure = secure
        self.aborted = False

    def connect(self) -> None:
        """As the base class does, by the checked address and the host's name in TLS."""
        self.sock = socket.create_connection((self._resolved, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        if self.aborted:  # before there was a socket that could be shut down
            raise TimeoutError

    def abort(self) -> None:
        """Let whatever waits on it end."""
        self.aborted = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _parts(address: str) -> SplitResult | None:
    """An address in its parts, None if it is none that a webhook may have."""
    if len(address) > LONGEST_ADDRESS or not (address.isascii() and address.isprintable()) or " " in address:
        return None
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return None
    return parts if parts.hostname and parts.username is None and not parts.fragment else None


def _resolved(host: str, port: int, *, private: bool) -> str:
    """An address of a host.

    Raises:
        WebhookFailed: it has none, or one of them is not public.
    """
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise WebhookFailed(f"{host} has no address: {error}") from error
    if not private and any(map(_is_private, found)):
        raise WebhookFailed(f"{host} leads to no public address")  # which one is nobody's business
    return found[0]


def _is_private(host: str) -> bool:
    """Whether a host is written as an address that is not public, or is a name of this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    reached = _carried(address) or address
    if isinstance(reached, ipaddress.IPv6Address) and (reached.is_reserved or reached.is_site_local):
        return True
    return not reached.is_global or reached.is_multicast


def _carried(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that one of IPv6 leads to, None if it leads to none."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
