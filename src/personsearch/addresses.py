"""Addresses of services: the credentials in them, which are never shown, and the proxies on the way to them."""

import ipaddress
import logging
import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import OpenerDirector, ProxyHandler, build_opener, getproxies, proxy_bypass

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HIDDEN = "***"
USER_INFORMATION = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)(?P<slashes>://|:/?|//)(?P<user>[^\s/?#]*)@", re.IGNORECASE
)
# One that lost a slash is an address still: nobody keeps pictures in a folder called `s3:`.
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/|s3:", re.IGNORECASE)
SECRET_PARAMETER = re.compile(
    # Some cameras have `user=NAME_password=PASSWORD` in the path, so `=` may also come before a name.
    r"(?P<name>[?&;=][\w.-]*(?:pass(?:word|wd|phrase)?|pwd|auth|token|secret|signature|sig|credential|api_?key)=)"
    r"[^\s&;#'\"]+",
    re.IGNORECASE,
)


def hide_credentials(text: str) -> str:
    """`text` without the passwords and tokens of the addresses in it; a bare user name stays, as in ssh://git@host."""
    return SECRET_PARAMETER.sub(rf"\g<name>{HIDDEN}", USER_INFORMATION.sub(_without_user, text))


def _without_user(found: re.Match[str]) -> str:
    # Over HTTP a bare user is often a token. A mistyped address (postgres//, http:/) holds the same secrets.
    is_secret = ":" in found["user"] or found["scheme"].lower() in ("http", "https")
    return f"{found['scheme']}{found['slashes']}{HIDDEN if is_secret else found['user']}@"


def is_address(text: str) -> bool:
    """Whether a text is meant as an address, mistyped or not, rather than as a path."""
    return "://" in text or ADDRESS.match(text) is not None


def split_credentials(address: str) -> tuple[str, str, str]:
    """An address without user and password, and these two, decoded ("" where it has none).

    Raises:
        ValueError: it cannot be read; the message does not repeat it.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "an address like https://host:port expected; in a user name or password / : @ # are written %2F %3A %40 %23"
        ) from None
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), unquote(parts.username or ""), unquote(parts.password or "")


def is_on_this_machine(address: str) -> bool:
    """Whether an address with a scheme names this machine's loopback interface."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def reach_this_machine_directly() -> None:
    """Keep the HTTP clients of this process, and of processes that it starts, from asking a proxy for this machine."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host for part in named.split(",") if (host := part.strip())]
    if "*" not in hosts:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def direct_opener() -> OpenerDirector:
    """Opens addresses without a proxy, whatever the environment names: for services of this machine."""
    return build_opener(ProxyHandler({}))


def describe_proxy(address: str) -> str:
    """Words for an error message that name the proxy on the way to an address; "" where there is none."""
    parts = urlsplit(address)
    if not parts.hostname or is_on_this_machine(address) or proxy_bypass(parts.hostname):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return ""
    return f" through the proxy {hide_credentials(proxy)} (name {parts.hostname} in no_proxy to go without)"


class HidingFormatter(logging.Formatter):
    """Formats log records without the credentials of the addresses in them."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_credentials(super().format(record))


def log_to_standard_error() -> None:
    """Log what a service does, without credentials."""
    handler = logging.StreamHandler()
    handler.setFormatter(HidingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
