"""One contract for pictures in a folder and in a real S3 store, and what is said where a store cannot be used."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from personsearch.errors import UserError
from personsearch.gallery.pictures import PictureMissing, Pictures
from personsearch.images import ImageRejected
from personsearch.integrations.objects import s3 as objects
from personsearch.integrations.objects.open import open_pictures
from personsearch.integrations.objects.s3 import S3Pictures
from tests.servers.s3 import READER, SECRETS, WRITER, S3Server

ONE, TWO = "images/door/2026-03-01/one.jpg", "images/gate-3-4b4329dd/2026-03-02/two.jpg"
CLOSED = "http://127.0.0.1:9"


@pytest.fixture(params=["folder", "s3"])
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Pictures:
    if request.param == "folder":
        return open_pictures(str(tmp_path / "crops"))
    server: S3Server = request.getfixturevalue("s3")
    return open_pictures(f"{server.new_place()}/site one/gallery")


def names(pictures: Pictures) -> list[str]:
    return sorted(name for page in pictures.names() for name in page)


@pytest.mark.parametrize("mistyped", ["s3:/bucket/site", "s3:bucket", "S3://bucket", "https:/bucket", "gs://bucket"])
def test_a_mistyped_address_makes_no_folder(mistyped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"'{mistyped}': a folder or s3://BUCKET/PREFIX expected"):
        open_pictures(mistyped)
    assert list(tmp_path.iterdir()) == []
    assert open_pictures("site:3").place == "site:3"


def test_pictures_come_back_as_they_were_written(pictures: Pictures) -> None:
    assert names(pictures) == []
    pictures.write([(ONE, b"first"), (TWO, b"second" * 100_000)])
    assert pictures.read(ONE) == b"first"
    assert names(pictures) == [ONE, TWO]
    assert pictures.address(ONE) == f"{pictures.place}/{ONE}"
    pictures.check()


def test_writing_again_replaces(pictures: Pictures) -> None:
    for _ in range(2):
        pictures.write([(ONE, b"same")])
    assert (names(pictures), pictures.read(ONE)) == ([ONE], b"same")


def test_many_are_read_in_their_order_and_missing_ones_are_named(pictures: Pictures) -> None:
    held = [(f"images/door/2026-03-01/{number}.jpg", bytes([number])) for number in range(40)]
    pictures.write(held)
    wanted = [name for name, _ in reversed(held)]
    wanted.insert(7, "images/door/2026-03-01/none.jpg")
    *read, last = pictures.read_many(wanted)
    assert isinstance(read[7], PictureMissing)
    assert [*read[:7], *read[8:], last] == [jpeg for _, jpeg in reversed(held)]


def test_a_missing_picture_is_said_to_be_missing(pictures: Pictures) -> None:
    with pytest.raises(ImageRejected, match="picture is missing"):
        pictures.read(ONE)


def test_removed_pictures_are_gone_and_others_stay(pictures: Pictures) -> None:
    pictures.write([(ONE, b"first"), (TWO, b"second")])
    pictures.remove([])
    pictures.remove([ONE, "images/door/2026-03-01/never.jpg"])
    pictures.remove([ONE])
    assert names(pictures) == [TWO]
    with pytest.raises(PictureMissing):
        pictures.read(ONE)


def test_a_reader_sees_a_whole_picture_or_none(pictures: Pictures) -> None:
    """While several write the same name."""
    sizes, start = [200_000, 300_000], Barrier(3)

    def write(size: int) -> None:
        start.wait()
        for _ in range(5):
            pictures.write([(ONE, b"x" * size)])

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write, size) for size in sizes]
        start.wait()
        while not all(each.done() for each in writing):
            [read] = pictures.read_many([ONE])
            assert isinstance(read, PictureMissing) or len(read) in sizes
        assert [each.exception() for each in writing] == [None, None]


def test_versions_of_a_removed_picture_are_removed_too(s3: S3Server) -> None:
    pictures = S3Pictures(s3.new_versioned_place())
    for jpeg in (b"one", b"two"):
        pictures.write([(ONE, jpeg), (TWO, jpeg)])
    assert pictures._versions is not None
    prefix = pictures.place.rpartition("/")[2]
    assert len(list(pictures._versions._of(f"{prefix}/{ONE}"))) == 2
    pictures.remove([ONE])
    assert list(pictures._versions._of(f"{prefix}/{ONE}")) == []
    assert len(list(pictures._versions._of(f"{prefix}/{TWO}"))) == 2
    assert (names(pictures), pictures.versions_left) == ([TWO], 0)


def test_versions_that_cannot_be_removed_are_counted(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = S3Pictures(s3.new_versioned_place())
    pictures.write([(ONE, b"one")])
    monkeypatch.setattr(pictures, "_versions", None)  # as with a machine's role, whose key only obstore knows
    pictures.remove([ONE, TWO])
    assert pictures.versions_left == 1


@pytest.mark.parametrize("operation", ["read", "read_many", "write", "remove", "names", "check"])
def test_a_missing_bucket_is_not_a_missing_picture(s3: S3Server, operation: str) -> None:
    with pytest.raises(UserError, match="s3://nowhere/x: the bucket does not exist; create it") as caught:
        use(S3Pictures("s3://nowhere/x"), operation)
    assert not isinstance(caught.value, ImageRejected)


@pytest.mark.parametrize("operation", ["read", "read_many", "write", "remove", "names", "check"])
def test_a_store_that_does_not_answer_is_named(s3: S3Server, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", CLOSED)
    with pytest.raises(UserError, match=f"s3://b: {CLOSED} cannot be reached; is AWS_ENDPOINT_URL right"):
        use(S3Pictures("s3://b"), operation)


@pytest.mark.parametrize("operation", ["write", "remove"])
def test_a_key_that_may_only_read_says_what_it_needs(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    address = s3.new_place()
    S3Pictures(address).write([(ONE, b"one")])
    for name, value in s3.environment(READER).items():
        monkeypatch.setenv(name, value)
    reader = S3Pictures(address)
    with pytest.raises(UserError, match="does not permit it; these credentials need s3:GetObject, s3:PutObject"):
        use(reader, operation)
    assert reader.read(ONE) == b"one"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "does not know the key in AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "AWS_SECRET_ACCESS_KEY does not belong to the key"),
    ],
)
def test_a_changed_password_is_named_and_not_shown(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], message: str
) -> None:
    address = s3.new_place()
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message) as caught:
        S3Pictures(address).check()
    assert not {SECRETS[WRITER], "wrong-secret"} & set(str(caught.value).split())
    assert "secret-of-tests" not in str(caught.value)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An endpoint that accepts connections and never answers."""
    monkeypatch.setattr(objects, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(objects, "RETRIES", 0)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_store_that_is_too_slow_is_given_up(silent: str, monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    with pytest.raises(UserError, match=f"{silent} did not answer within 1 s"):
        S3Pictures("s3://b").read(ONE)


def test_a_proxy_is_not_asked_for_this_machine(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, CLOSED)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")
    pictures = S3Pictures(s3.new_versioned_place())
    pictures.write([(ONE, b"one")])
    pictures.remove([ONE])
    assert names(pictures) == []


@pytest.mark.parametrize("unset", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named_before_anything_is_tried(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, unset: str
) -> None:
    monkeypatch.delenv(unset)
    with pytest.raises(UserError, match=f"s3://b: {unset} must be set in the environment"):
        open_pictures("s3://b")


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix", "s3://b:99/x", "s3://b/x?y=1", "s3://b//x", "gs://b/x"])
def test_other_addresses_are_refused(s3: S3Server, address: str) -> None:
    with pytest.raises(UserError, match="s3://BUCKET/PREFIX expected"):
        open_pictures(address)


def test_credentials_in_an_address_are_refused_and_not_shown(s3: S3Server) -> None:
    with pytest.raises(UserError, match="belong in AWS_ACCESS_KEY_ID") as caught:
        open_pictures("s3://someone:hush@bucket/x")
    assert "hush" not in str(caught.value)


def test_an_endpoint_without_a_scheme_is_refused(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL 'localhost:9000': http://HOST:PORT or https://HOST expected"):
        open_pictures("s3://b")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: cannot hold a gallery"):
        open_pictures(str(tmp_path / "file"))


def test_a_folder_that_is_gone_is_no_missing_picture_to_a_check(tmp_path: Path) -> None:
    pictures = open_pictures(str(tmp_path / "crops"))
    (tmp_path / "crops").rmdir()
    with pytest.raises(UserError, match="missing or cannot be read"):
        pictures.check()


def use(pictures: Pictures, operation: str) -> None:
    """One operation, to its end."""
    operations = {
        "read": lambda: pictures.read(ONE),
        "read_many": lambda: list(pictures.read_many([ONE, TWO])),
        "write": lambda: pictures.write([(ONE, b"one"), (TWO, b"two")]),
        "remove": lambda: pictures.remove([ONE]),
        "names": lambda: list(pictures.names()),
        "check": pictures.check,
    }
    operations[operation]()
