"""Older versions of objects, in buckets that keep them: obstore neither lists nor removes these, and an erased picture
must not live on as one.
"""

import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import build_opener
from xml.etree import ElementTree

from personsearch.addresses import direct_opener, is_on_this_machine
from personsearch.errors import EngineFailed, UserError
from personsearch.integrations.objects.signature import Signer

TIMEOUT_SECONDS = 30
KINDS = ("Version", "DeleteMarker")


@dataclass(frozen=True)
class Versions:
    """The versions of a bucket's objects."""

    bucket: str
    signer: Signer

    def remove(self, key: str) -> None:
        """Remove every version of an object, and the markers of its deletion.

        Raises:
            UserError: the store does not permit it, or still has one.
        """
        for version in self._of(key):
            self._ask("DELETE", key, {"versionId": version})
        if next(self._of(key), None) is not None:
            raise UserError(
                f"s3://{self.bucket}/{key}: a version was removed, but the store still has it; is it locked?"
            )

    def _of(self, key: str) -> Iterator[str]:
        page = ElementTree.fromstring(self._ask("GET", "", {"prefix": key, "versions": ""}))
        for entry in page:
            values = {_name(child): child.text or "" for child in entry}
            if _name(entry) in KINDS and values.get("Key") == key:
                yield values["VersionId"]

    def _ask(self, method: str, key: str, query: dict[str, str]) -> bytes:
        request = self.signer.request(method, f"/{self.bucket}" + (f"/{key}" if key else ""), query)
        opener = direct_opener() if is_on_this_machine(self.signer.endpoint) else build_opener()
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                body: bytes = response.read()
        except urllib.error.HTTPError as error:
            raise UserError(
                f"s3://{self.bucket}/{key}: the bucket keeps versions, and the store does not show or remove those of "
                f"an erased picture (status {error.code}); the credentials need s3:ListBucketVersions and "
                "s3:DeleteObjectVersion"
            ) from error
        except (OSError, HTTPException) as error:
            raise EngineFailed(
                "pictures", f"s3://{self.bucket}: {self.signer.endpoint} cannot be reached: {error}"
            ) from error
        return body


def _name(element: ElementTree.Element) -> str:
    """An element's name without its name space."""
    return element.tag.rpartition("}")[2]
