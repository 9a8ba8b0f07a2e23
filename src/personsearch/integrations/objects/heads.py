"""Heads of the audit log in a bucket: small objects that are written once and found by their names."""

from collections.abc import Iterator

import obstore

from personsearch.integrations.objects.s3 import S3Pictures


class S3Heads(S3Pictures):
    """Objects below `<prefix>/`; the bucket is reached, and its errors are told, as for pictures."""

    def keep(self, name: str, text: str) -> None:
        """Write an object.

        Raises:
            UserError: the store cannot be reached or does not permit it.
        """
        with self.readable_errors():
            obstore.put(self.store, name, text.encode(), attributes={"Content-Type": "application/json"})

    def kept(self) -> Iterator[str]:
        """The names, in their order.

        Raises:
            UserError: as `keep`.
        """
        with self.readable_errors():
            for listed in obstore.list(self.store, chunk_size=1000):
                yield from (str(each["path"]) for each in listed)
