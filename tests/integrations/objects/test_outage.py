"""A store that is killed under load and started again has lost nothing that was acknowledged."""

from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.filters import CropFilter
from tests.gallery.builds import crop, jpeg
from tests.servers.s3 import s3_server


def test_a_killed_store_comes_back_with_all_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personsearch.integrations.objects.s3.RETRIES", 1)
    with s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        gallery = gallery_in(tmp_path / "gallery", None, server.new_place())
        acknowledged = []
        for number in range(40):
            if number in (15, 30):
                server.kill()
                with pytest.raises(UserError, match="cannot be reached"):
                    gallery.add([(crop(number), jpeg(number)), (crop(1000 + number), jpeg(number))])
                with pytest.raises(UserError, match="their pictures are still there"):
                    gallery.erase(CropFilter(crop_ids=(f"crop{number - 1:05d}",)))
                acknowledged.remove(number - 1)
                server.start()
            else:
                gallery.add([(crop(number), jpeg(number)), (crop(1000 + number), jpeg(number))])
                acknowledged.append(number)
        assert len(acknowledged) == 36
        assert all(gallery.picture(each) for each in gallery.crops())
        assert {f"crop{number:05d}" for number in acknowledged} <= {each.crop_id for each in gallery.crops()}
        gallery.sweep()
        held = {name for page in gallery.pictures.names() for name in page}
        assert held == {each.image_uri for each in gallery.crops()}
