"""`dvc.yaml` with the numbers of `params.yaml` made small: the real stages, reproduced once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from personsearch.data.records import read_manifest

ROOT = Path(__file__).parents[3]


def test_the_data_stages_run_from_params(tmp_path: Path) -> None:
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    counts = {"identities_train": 2, "identities_val": 1, "identities_test": 1, "images_per_identity": 1, "workers": 1}
    params["synthesize"] |= counts
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "personsearch").symlink_to(ROOT / "src" / "personsearch")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(
        ["dvc", "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    records = read_manifest(tmp_path / "data" / "augmented")
    assert sorted(record.split for record in records) == ["test", "train", "train", "val"]
    locked = yaml.safe_load((tmp_path / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert list(locked) == ["synthesize", "prepare", "augment"]
    assert locked["augment"]["outs"][0]["md5"].endswith(".dir")
