"""Checks of what an installation keeps: database, pictures, audit log, vectors, models.

Shapes: N crops, H height, W width, D embedding dimension.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from personsearch.encoders.golden import verify_golden
from personsearch.images import ImageRejected, open_image, resize
from personsearch.installation.doctor.patient import Finding, Patient, Skipped
from personsearch.installation.platforms import database_exists
from personsearch.integrations.mlflow.registry import CHAMPION
from personsearch.search.index import LIVE_ALIAS

SAMPLE = 8  # crops whose vectors are computed again
SMALLEST_COSINE = 0.97  # of a stored vector and the same computed here: small vectors and 8-bit graphs differ a little
PROMOTE = "promote a version: `personsearch models`, `personsearch promote VERSION`"
FILL = "fill it: `personsearch ingest VIDEO --camera NAME`"
REBUILD = "build it again: `personsearch index --rebuild`"


def check_database(patient: Patient) -> Iterator[Finding]:
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import HEAD, schema_revision

    if not database_exists(patient.settings):
        yield Finding("database", "wrong", "no gallery yet", FILL)
        return
    database = Database(patient.settings.database_address)
    try:
        revision = schema_revision(database)
    finally:
        database.close()
    if revision != HEAD:
        found = f"{database.place}: schema {revision or 'none'}, {HEAD} expected"
        yield Finding("database", "wrong", found, "run `personsearch migrate`")
        return
    crops = patient.gallery.count()
    advice = "" if crops else FILL
    yield Finding("database", "well" if crops else "wrong", f"{database.place}: schema {HEAD}, {crops:,} crops", advice)


def check_pictures(patient: Patient) -> Iterator[Finding]:
    gallery = patient.gallery
    gallery.pictures.check()
    crops = list(islice(gallery.crops(), SAMPLE))
    unreadable = [
        crop.crop_id
        for crop, picture in zip(crops, gallery.read_pictures(crops), strict=True)
        if isinstance(picture, ImageRejected)
    ]
    if unreadable:
        advice = "restore them from a backup, or erase these crops"
        yield Finding("pictures", "wrong", f"{gallery.pictures.place}: no picture of {', '.join(unreadable)}", advice)
    else:
        yield Finding("pictures", "well", f"{gallery.pictures.place}: {len(crops)} read")


def check_audit(patient: Patient) -> Iterator[Finding]:
    from personsearch.installation.audit.log import AuditLog
    from personsearch.integrations.database.audit import DatabaseAudit
    from personsearch.integrations.database.engine import Database

    _ = patient.gallery  # its schema is right
    database = Database(patient.settings.database_address)
    try:
        head = AuditLog(DatabaseAudit(database)).head()
    finally:
        database.close()
    yield Finding("audit", "well", f"{head.sequence:,} records; `personsearch audit verify` checks each")


def check_milvus(patient: Patient) -> Iterator[Finding]:
    store = patient.store
    collection = store.alias_target(LIVE_ALIAS)
    if collection is None:
        yield Finding("milvus", "wrong", f"{store.uri}: no collection is live", PROMOTE)
        return
    missing = store.missing_fields(collection)
    if missing:
        advice = REBUILD
        yield Finding("milvus", "wrong", f"{collection} has no field {', '.join(missing)}", advice)
    if not store.is_loaded(collection):
        yield Finding("milvus", "wrong", f"{collection} is not loaded", "restart the search service, which loads it")
        return
    vectors, crops = store.open(collection).count(), patient.gallery.count()
    found = f"{store.uri} ({store.server_version}): {collection}, {vectors:,} vectors of {crops:,} crops"
    behind = vectors != crops
    advice = "the promoter follows within seconds; if this stays, read `personsearch status`" if behind else ""
    yield Finding("milvus", "note" if behind else "well", found, advice)


def check_mlflow(patient: Patient) -> Iterator[Finding]:
    registry = patient.registry
    champion = registry.champion()
    if champion is None:
        yield Finding("mlflow", "wrong", f"{registry.uri}: no version has the alias {CHAMPION}", PROMOTE)
        return
    found = f"{registry.uri}: version {champion} is champion"
    _, properties = patient.live
    if properties.model_version != champion:
        found += f", but version {properties.model_version} is live"
        yield Finding("mlflow", "note", found, "the promoter builds it; `personsearch status` says how far it is")
        return
    yield Finding("mlflow", "well", f"{found} and live")


def check_model(patient: Patient) -> Iterator[Finding]:
    collection, properties = patient.live
    distance = verify_golden(patient.bundle, patient.encoder)
    if patient.encoder.embedding_dim != properties.embedding_dim:
        found = f"{patient.encoder.embedding_dim} numbers a vector, {collection} has {properties.embedding_dim}"
        yield Finding("model", "wrong", found, REBUILD)
        return
    found = f"version {properties.model_version}, {properties.fingerprint}: golden vectors within {distance:.1g}"
    yield Finding("model", "well", found)


def check_vectors(patient: Patient) -> Iterator[Finding]:
    """Whether the collection holds what its model makes of the pictures."""
    collection, _ = patient.live
    gallery, size = patient.gallery, patient.encoder.preprocessing
    if not patient.store.is_loaded(collection):
        raise Skipped
    crops, stored_ND = patient.store.open(collection).fetch([crop.crop_id for crop in islice(gallery.crops(), SAMPLE)])
    pictures = list(gallery.read_pictures(crops))
    rows = [row for row, picture in enumerate(pictures) if isinstance(picture, bytes)]
    if not rows:
        raise Skipped
    images = [open_image(picture) for picture in pictures if isinstance(picture, bytes)]
    pixels_NHW3 = np.stack([resize(image, size.height, size.width, size.interpolation) for image in images])
    smallest = float((patient.encoder.encode_images(pixels_NHW3) * stored_ND[rows]).sum(axis=1).min())
    found = f"{len(rows)} computed again: cosine with those in {collection} at least {smallest:.4f}"
    if smallest < SMALLEST_COSINE:
        yield Finding("vectors", "wrong", found, REBUILD)
    else:
        yield Finding("vectors", "well", found)
