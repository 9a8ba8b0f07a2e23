"""A folder's copy in a store is always a state in which the folder has been."""

import contextlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest

from personsearch.errors import UserError
from personsearch.integrations.objects import folder as module
from personsearch.integrations.objects.folder import CLAIM, STATE, StoredFolder, TakenOver, kept, states
from tests.servers.google_storage import TOKEN, Google, google_storage
from tests.servers.s3 import READER, S3Server


@pytest.fixture
def google(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with google_storage(s3.endpoint) as server:
        monkeypatch.setenv("GOOGLE_BASE_URL", server.address)
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", TOKEN)
        yield server


@pytest.fixture(params=["s3", "gs"])
def place(request: pytest.FixtureRequest, s3: S3Server) -> str:
    """The store as Amazon's and as Google's client reach it."""
    if request.param == "s3":
        return s3.new_place()
    request.getfixturevalue("google")
    return s3.new_google_place()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.safetensors").write_bytes(b"step 1" * 300_000)
    (folder / "config.yaml").write_text("epochs: 2")
    (folder / ".lock").touch()
    (folder / "checkpoints/.best.12.partial").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in states(folder)}


def restored(place: str, tmp_path: Path) -> dict[str, bytes] | None:
    folder = tmp_path / "elsewhere"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return contents(folder) if StoredFolder(place).restore(folder) else None


def objects(place: str) -> dict[str, int]:
    store = StoredFolder(place)._store
    return {each["path"]: each["size"] for listed in obstore.list(store) for each in listed}


def patiently(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_kept_comes_back_without_what_is_being_written(folder: Path, place: str, tmp_path: Path) -> None:
    assert restored(place, tmp_path) is None
    assert StoredFolder(place).keep(folder)
    assert restored(place, tmp_path) == {
        "checkpoints/last.safetensors": b"step 1" * 300_000,
        "config.yaml": b"epochs: 2",
    }


def test_what_has_changed_is_sent_and_what_has_passed_is_removed(folder: Path, place: str, tmp_path: Path) -> None:
    stored = StoredFolder(place)
    stored.claim()
    stored.keep(folder)
    (old,) = (path for path, size in objects(place).items() if size > 10**6)
    (folder / "checkpoints/last.safetensors").write_bytes(b"step 2" * 300_000)
    assert stored.keep(folder)
    assert len(objects(place)) == 4
    assert old not in objects(place)
    assert restored(place, tmp_path) == contents(folder)
    stored.forget()
    assert objects(place) == {}


def test_a_step_that_is_tried_again_removes_what_the_one_before_it_left(
    folder: Path, place: str, tmp_path: Path
) -> None:
    first, second, again = StoredFolder(place), StoredFolder(place), tmp_path / "again" / "run"
    first.claim()
    first.keep(folder)
    again.mkdir(parents=True)
    second.claim()
    assert second.restore(again)
    (again / "checkpoints/last.safetensors").write_bytes(b"step 3" * 300_000)
    assert second.keep(again)
    assert len(objects(place)) == 4
    assert restored(place, tmp_path) == contents(again)


def test_what_was_kept_before_folders_were_claimed_is_found_and_removed_later(
    folder: Path, place: str, tmp_path: Path
) -> None:
    StoredFolder(place).keep(folder)
    stored, again = StoredFolder(place), tmp_path / "again" / "run"
    again.mkdir(parents=True)
    stored.claim()
    assert stored.restore(again)
    stored.keep(again)
    assert restored(place, tmp_path) == contents(folder)
    assert [name for name in objects(place) if not name.startswith("000001-")] == []


class Pods:
    """Two pods of one step: the first one's node was thought lost, and the second has taken over."""

    def __init__(self, place: str, folder: Path, tmp_path: Path) -> None:
        self.first, self.second, self.place = StoredFolder(place), StoredFolder(place), place
        self.mine, self.other = folder, tmp_path / "second" / "run"
        self.other.mkdir(parents=True)
        self.first.claim()
        self.first.keep(folder)
        self.second.claim()

    def work(self, folder: Path, step: bytes) -> None:
        (folder / "checkpoints/last.safetensors").write_bytes(step * 300_000)


@pytest.fixture
def pods(place: str, folder: Path, tmp_path: Path) -> Pods:
    return Pods(place, folder, tmp_path)


def test_a_pod_that_was_thought_lost_neither_writes_nor_removes_anything(pods: Pods, tmp_path: Path) -> None:
    before = objects(pods.place)
    pods.work(pods.mine, b"step 9")
    for act in (lambda: pods.first.keep(pods.mine), pods.first.forget, pods.first.check):
        with pytest.raises(TakenOver, match="another pod of this step has taken over; this one ends"):
            act()
    assert objects(pods.place) == before
    assert pods.second.restore(pods.other)
    pods.work(pods.other, b"step 2")
    assert pods.second.keep(pods.other)
    assert restored(pods.place, tmp_path) == contents(pods.other)


def test_what_a_lost_pod_was_sending_when_it_was_replaced_removes_nothing_of_the_next(
    pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pod claims, restores and keeps while the first is about to write its state."""
    third, put = StoredFolder(pods.place), obstore.put
    pods.work(pods.mine, b"step 9")

    def put_late(store: object, path: str, *given: object, **others: object) -> object:
        if path.endswith(STATE) and path.startswith("000002-") and not pods.other.exists():
            monkeypatch.setattr(module.obstore, "put", put)
            pods.other.mkdir()
            third.claim()
            assert third.restore(pods.other)
            assert third.keep(pods.other)
        return put(store, path, *given, **others)

    pods.other.rmdir()
    monkeypatch.setattr(module.obstore, "put", put_late)
    pods.second.keep(pods.mine)
    assert restored(pods.place, tmp_path) == contents(pods.other)
    assert third.keep(pods.other)
    assert [name for name in objects(pods.place) if not name.startswith("000003-")] == []


def test_contents_that_the_former_pod_removes_while_they_are_read_are_read_again(
    pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, get_range = pods.first._store, obstore.get_range

    def get_late(*given: object, **others: object) -> object:
        monkeypatch.setattr(module.obstore, "get_range", get_range)
        pods.work(pods.mine, b"step 9")
        monkeypatch.setattr(pods.first, "_check", lambda names: None)  # it looked before the claim
        pods.first.keep(pods.mine)
        return get_range(*given, **others)

    obstore.delete(store, [f"{pods.second._claimed}claim"])  # what a listing before the claim did not show
    monkeypatch.setattr(module.obstore, "get_range", get_late)
    assert pods.second.restore(pods.other)
    assert contents(pods.other) == contents(pods.mine)


def test_of_two_that_claim_at_once_one_ends(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = StoredFolder(place), StoredFolder(place)
    with monkeypatch.context() as patch:
        patch.setattr(StoredFolder, "_names", lambda self: set())
        first.claim()
        second.claim()
    ended = []
    for stored in (first, second):
        try:
            stored.keep(folder)
        except TakenOver:
            ended.append(stored)
    assert len(ended) == 1


def test_what_nobody_needs_any_more_is_not_brought_back(pods: Pods) -> None:
    """The second pod has finished; the first still runs, and has written after that."""
    pods.second.forget()
    obstore.put(pods.first._store, f"{pods.first._claimed}{STATE}", b"{}")
    with pytest.raises(TakenOver):
        pods.first.keep(pods.mine)
    assert objects(pods.place) == {}


def test_work_is_interrupted_where_another_pod_takes_over(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    shutil.rmtree(folder)
    folder.mkdir()

    def work() -> None:
        with kept(folder, StoredFolder(place)):
            StoredFolder(place).claim()
            time.sleep(120)
            pytest.fail("nobody has interrupted it")

    with pytest.raises(TakenOver, match="another pod of this step has taken over"):
        work()
    assert len([name for name in objects(place) if name.endswith(CLAIM)]) == 2


@pytest.mark.parametrize("damage", ["content", "missing", "state", "list", "outside", "absolute", "nested"])
def test_a_damaged_copy_is_not_used(
    folder: Path, place: str, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    stored = StoredFolder(place)
    stored.keep(folder)
    (large,) = (path for path, size in objects(place).items() if size > 10**6)
    if damage == "content":
        obstore.put(stored._store, large, b"step 2" * 300_000)
    elif damage == "missing":
        obstore.delete(stored._store, large)
    else:
        outside = {"../outside": large} if damage == "outside" else {str(tmp_path / "outside"): large}
        states = {"state": "{", "list": "[1]", "nested": json.dumps({"a": large, "a/b": large})}
        obstore.put(stored._store, STATE, states.get(damage, json.dumps(outside)).encode())
    (tmp_path / "new").mkdir()
    assert not StoredFolder(place).restore(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "outside").exists()
    assert f"{place}: is damaged" in caplog.text


def test_a_copy_is_of_one_moment(folder: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content that is being sent is replaced and a later file is written: neither is in the copy."""
    stored = StoredFolder(place)
    put = obstore.put
    before = contents(folder)

    def put_slowly(store: object, path: str, file: object, **others: object) -> object:
        if not path.endswith(STATE) and not (folder / "later").exists():
            (folder / "later").touch()
            (folder / ".new.partial").write_bytes(b"step 2" * 300_000)
            (folder / ".new.partial").replace(folder / "checkpoints/last.safetensors")
        return put(store, path, file, **others)

    monkeypatch.setattr(module.obstore, "put", put_slowly)
    assert stored.keep(folder)
    assert restored(place, tmp_path) == before


def test_a_large_file_that_is_changed_in_its_place_is_kept_later(
    folder: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, put = StoredFolder(place), obstore.put
    stored.keep(folder)
    before = contents(folder)
    (folder / "config.yaml").write_text("epochs: 3")

    def append(store: object, path: str, file: object, **others: object) -> object:
        with (folder / "checkpoints/last.safetensors").open("ab") as large:
            large.write(b"more")
        return put(store, path, file, **others)

    with monkeypatch.context() as patch:
        patch.setattr(module.obstore, "put", append)
        assert not stored.keep(folder)
    assert restored(place, tmp_path) == before
    assert stored.keep(folder)
    assert restored(place, tmp_path) == contents(folder)


def test_a_block_keeps_its_folder_and_forgets_it_when_it_succeeds(
    folder: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    source = contents(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    with contextlib.suppress(MemoryError), kept(folder, StoredFolder(place)):
        for name, content in source.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        patiently(lambda: restored(place, tmp_path) == source)
        (folder / "last words").touch()
        raise MemoryError
    assert restored(place, tmp_path) == source | {"last words": b""}
    shutil.rmtree(folder)
    folder.mkdir()
    with kept(folder, StoredFolder(place)):
        assert contents(folder) == source | {"last words": b""}
    assert objects(place) == {}


def test_a_store_that_fails_meanwhile_does_not_end_the_work(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    failing = threading.Event()
    keep = StoredFolder.keep

    def keep_or_fail(self: StoredFolder, folder: Path) -> bool:
        if failing.is_set():
            raise UserError("http://store cannot be reached")
        return keep(self, folder)

    monkeypatch.setattr(StoredFolder, "keep", keep_or_fail)
    empty = folder.parent / "empty"
    empty.mkdir()
    with kept(empty, StoredFolder(place)):
        failing.set()
        (empty / "a").touch()
        patiently(lambda: "checkpoints are not kept for now: http://store cannot be reached" in caplog.text)
        failing.clear()
        patiently(lambda: any(name.endswith(STATE) for name in objects(place)))


def test_a_key_that_may_only_read_is_refused_when_the_copy_is_kept(
    folder: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment(READER).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="the store does not permit it"):
        StoredFolder(s3.new_place()).keep(folder)


def test_the_state_names_contents(folder: Path, place: str) -> None:
    StoredFolder(place).keep(folder)
    state = json.loads(bytes(obstore.get(StoredFolder(place)._store, STATE).bytes()))
    assert set(state) == {"checkpoints/last.safetensors", "config.yaml"}
    assert set(state.values()) | {STATE} == set(objects(place))


def test_no_file_is_kept_of_a_folder_that_is_empty(place: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert StoredFolder(place).keep(tmp_path / "run")
    assert restored(place, tmp_path) == {}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "az://checkpoints/runs",
            "gs://BUCKET/PREFIX or a folder expected; stores of the kind az:// are not supported",
        ),
        ("gs://", "'gs://': gs://BUCKET/PREFIX expected"),
        ("gs://user:secret@bucket/a", "gs://BUCKET/PREFIX expected"),
    ],
)
def test_other_stores_are_refused_with_what_is_supported(address: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        StoredFolder(address)


def test_a_bucket_of_google_that_is_not_there_is_said(google: Google, folder: Path) -> None:
    with pytest.raises(UserError, match=r"gs://no-such-bucket/a: the (bucket does not exist|store does not permit it)"):
        StoredFolder("gs://no-such-bucket/a").keep(folder)


def test_a_token_that_google_does_not_know_is_said(
    google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "another")
    with pytest.raises(UserError, match=r"the store does not permit it; this account needs storage\.objects\.get"):
        StoredFolder("gs://checkpoints/a").keep(folder)
