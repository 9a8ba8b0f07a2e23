"""The folder that a stage writes a data set into, which may hold a finished one, an unfinished one or other files."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from personsearch.data.records import MANIFEST
from personsearch.errors import UserError
from personsearch.files import alone, hash_file, replacing
from personsearch.run_record import RUN_RECORD, read_run_record

LOCK = ".lock"


def input_key(*parts: Any) -> str:
    """A hash of everything that an output depends on; each part is a JSON value."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def lineage(key: str, out_dir: Path, **more: str) -> dict[str, str]:
    """What `finished_metrics` will look for in `run.json`."""
    return {"input": key, "manifest": hash_file(out_dir / MANIFEST), **more}


def finished_metrics(out_dir: Path, key: str) -> dict[str, float] | None:
    """The metrics of a finished run on the same input, if the manifest is still the one that it wrote; else None."""
    record = read_run_record(out_dir)
    if record is None or record.lineage.get("input") != key or not (out_dir / MANIFEST).is_file():
        return None
    return record.metrics if record.lineage.get("manifest") == hash_file(out_dir / MANIFEST) else None


def sole_writer(out_dir: Path) -> AbstractContextManager[None]:
    """Hold the sole right to write into `out_dir`; waits while another process holds it."""
    return alone(out_dir / LOCK)


def claim(out_dir: Path, written: Iterable[str], *, marker: str) -> None:
    """Remove what an earlier run of the stage wrote into `out_dir`; `marker` is the file that an unfinished run leaves.

    Raises:
        UserError: it holds files that the stage did not write.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in out_dir.iterdir()} - {LOCK}
    if present and not present & {RUN_RECORD, MANIFEST, marker}:
        raise UserError(f"{out_dir}: holds other files; an empty folder or an earlier output of this stage expected")
    for name in written:
        path = out_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def link_image(source: Path, target: Path) -> None:
    """Give a file of a prepared data set a second name, which may be there already; copy it if the file system cannot.

    Raises:
        UserError: there is no such file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    if not source.is_file():
        raise UserError(f"{source}: named in {MANIFEST} but missing; run `personsearch data prepare` again")
    try:
        os.link(source, target)
    except FileExistsError:  # an earlier run was killed after this
        return
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
