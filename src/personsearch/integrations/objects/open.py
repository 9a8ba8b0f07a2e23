"""Opens the store of pictures or of footage that an address names."""

from pathlib import Path

from personsearch.addresses import is_address
from personsearch.errors import UserError, explain
from personsearch.files import private_folder
from personsearch.gallery.footage import FolderFootage, Footage
from personsearch.gallery.pictures import FolderPictures, Pictures

S3 = "s3://"


def open_pictures(address: str) -> Pictures:
    """The pictures in a folder, which is made if there is none, or below `s3://BUCKET/PREFIX`, which is not contacted.

    Raises:
        UserError: the folder cannot be used, or the address names neither.
    """
    if address.startswith(S3):
        from personsearch.integrations.objects.s3 import S3Pictures

        return S3Pictures(address)
    if is_address(address):
        raise UserError(f"pictures {address!r}: a folder or s3://BUCKET/PREFIX expected")
    folder = Path(address)
    try:
        private_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot hold a gallery: {explain(error)}") from error
    return FolderPictures(folder)


def open_footage(address: str) -> Footage:
    """The video files in a folder, or below `s3://BUCKET/PREFIX`; neither has to exist yet.

    Raises:
        UserError: the address names neither.
    """
    if address.startswith(S3):
        from personsearch.integrations.objects.footage import S3Footage

        return S3Footage(address)
    if is_address(address):
        raise UserError(f"footage {address!r}: a folder or s3://BUCKET/PREFIX expected")
    return FolderFootage(Path(address))
