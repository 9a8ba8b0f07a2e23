"""Signs requests to S3 as the AWS documentation's "Signature Version 4" says."""

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote, urlsplit
from urllib.request import Request

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Signer:
    """An endpoint, and a key with its secret."""

    endpoint: str
    region: str
    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, endpoint: str) -> Self | None:
        """None without a key in the environment."""
        named = os.environ
        key, secret = named.get("AWS_ACCESS_KEY_ID", ""), named.get("AWS_SECRET_ACCESS_KEY", "")
        region = named.get("AWS_REGION") or named.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        endpoint = endpoint.rstrip("/") or f"https://s3.{region}.amazonaws.com"
        return cls(endpoint, region, key, secret, named.get("AWS_SESSION_TOKEN", "")) if key and secret else None

    def request(self, method: str, path: str, query: dict[str, str], body: bytes = b"") -> Request:
        """A signed request for `/bucket` or `/bucket/key`."""
        path = quote(path, safe="/~")
        asked = "&".join(f"{name}={quote(value, safe='~')}" for name, value in sorted(query.items()))
        headers = {
            "host": urlsplit(self.endpoint).netloc,
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            "x-amz-date": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
            **({"x-amz-security-token": self.token} if self.token else {}),
        }
        headers["authorization"] = self._authorization(method, path, asked, headers)
        return Request(f"{self.endpoint}{path}?{asked}", data=body or None, method=method, headers=headers)

    def _authorization(self, method: str, path: str, query: str, headers: dict[str, str]) -> str:
        now, names = headers["x-amz-date"], ";".join(sorted(headers))
        lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
        canonical = "\n".join([method, path, query, *lines, "", names, headers["x-amz-content-sha256"]])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signing = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        signature = hmac.digest(signing, text.encode(), "sha256").hex()
        return f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, Signature={signature}"
