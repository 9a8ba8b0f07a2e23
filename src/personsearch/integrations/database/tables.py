"""The tables of an installation, as the latest migration leaves them.

`sequence` counts every change of the gallery, additions and erasures alike, so that an indexer catches up on both from
one number. Times are milliseconds since 1970 in UTC. Ids are compared by their characters, never by a language's rules.
`personsearch move` carries every table but those that say `stays`: they tell what is under way now.
"""

import sqlalchemy as sa

METADATA = sa.MetaData()

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Real: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")

CROPS = sa.Table(
    "crops",
    METADATA,
    sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
    sa.Column("crop_id", Text, nullable=False, unique=True),
    sa.Column("camera_id", Text, nullable=False),
    sa.Column("captured_at", Integer, nullable=False),
    sa.Column("track_id", Text, nullable=False),
    sa.Column("image_uri", Text, nullable=False, unique=True),
    *(sa.Column(name, Integer, nullable=False) for name in ("x", "y", "width", "height")),
    sa.Column("frame_uri", Text, nullable=False),
    sa.Column("quality", Real, sa.CheckConstraint("quality BETWEEN 0 AND 1"), nullable=False),
    sa.Column("ingested_at", Integer, nullable=False),
    sa.Index("crops_by_camera_and_time", "camera_id", "captured_at"),
    sa.Index("crops_by_time", "captured_at"),
    sa.Index("crops_by_track", "track_id"),
    sqlite_strict=True,
)

TOMBSTONES = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
    sa.Column("crop_id", Text, nullable=False, unique=True),
    sa.Column("erased_at", Integer, nullable=False),
    sqlite_strict=True,
)

VIDEOS = sa.Table(
    "videos",
    METADATA,
    sa.Column("camera_id", Text, primary_key=True),
    sa.Column("start", Integer, primary_key=True, autoincrement=False),
    sa.Column("content_hash", Text, nullable=False),
    sa.Column("settings", Text, nullable=False),
    sa.Column("result", Text),
    sqlite_strict=True,
)

PENDING_PICTURES = sa.Table(
    "pending_pictures",
    METADATA,
    sa.Column("image_uri", Text, primary_key=True),
    sqlite_strict=True,
    info={"stays": True},
)

CAMERAS = sa.Table(
    "cameras",
    METADATA,
    sa.Column("camera_id", Text, primary_key=True),
    *(sa.Column(name, Text, nullable=False) for name in ("name", "group_name", "zone")),
    sqlite_strict=True,
)

API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("sha256", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("created_at", Integer, nullable=False),
    sa.Column("expires_at", Integer),
    sa.Column("revoked_at", Integer),
    sa.Column("scopes", Text, nullable=False, server_default="search"),
    sa.Index("api_keys_by_name", "name"),
    sqlite_strict=True,
)

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", Text, primary_key=True),
    sa.Column("holder", Text, nullable=False),
    sa.Column("token", Integer, nullable=False),
    sa.Column("expires_at", Integer, nullable=False),
    sqlite_strict=True,
    info={"stays": True},
)

PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("number", Integer, primary_key=True, autoincrement=False),
    sa.Column("version", Text, nullable=False),
    sa.Column("collection", Text, nullable=False),
    sa.Column("sequence", Integer, nullable=False),
    sa.Column("encoded", Integer, nullable=False),
    sa.Column("unpurged", Integer, nullable=False),
    sa.Column("failure", Text, nullable=False),
    sa.Column("attempts", Integer, nullable=False),
    sa.Column("again_at", Integer, nullable=False),
    sa.Column("began_at", Integer, nullable=False),
    sa.Column("changed_at", Integer, nullable=False),
    sqlite_strict=True,
)

HEARTBEATS = sa.Table(
    "heartbeats",
    METADATA,
    sa.Column("holder", Text, primary_key=True),
    sa.Column("leads", Integer, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("failed", Integer, nullable=False),
    sa.Column("looked_at", Integer, nullable=False),
    sqlite_strict=True,
    info={"stays": True},
)

NOTICES = sa.Table(
    "notices",
    METADATA,
    sa.Column("name", Text, primary_key=True),
    sa.Column("number", Integer, nullable=False),
    sqlite_strict=True,
    info={"stays": True},
)

BUILD_SHARDS = sa.Table(
    "build_shards",
    METADATA,
    sa.Column("collection", Text, primary_key=True),
    sa.Column("number", Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, Integer, nullable=False) for name in ("crops", "done", "encoded", "removed")),
    sa.Column("finished", Integer, nullable=False),
    sa.Column("apart", Integer, nullable=False),
    sa.Column("began_at", Integer, nullable=False),
    sa.Column("changed_at", Integer, nullable=False),
    sqlite_strict=True,
    info={"stays": True},
)

FOLLOWED_PARTS = sa.Table(
    "followed_parts",
    METADATA,
    sa.Column("number", Integer, primary_key=True, autoincrement=False),
    sa.Column("of", Integer, nullable=False),
    sa.Column("collection", Text, nullable=False),
    sa.Column("sequence", Integer, nullable=False),
    sa.Column("encoded", Integer, nullable=False),
    sa.Column("removed", Integer, nullable=False),
    sqlite_strict=True,
    info={"stays": True},
)

WATCHED_SEARCHES = sa.Table(
    "watched_searches",
    METADATA,
    sa.Column("watch_id", Text, primary_key=True),
    *(sa.Column(name, Text, nullable=False) for name in ("owner", "name", "text", "filter")),
    sa.Column("threshold", Real, nullable=False),
    *(sa.Column(name, Text, nullable=False) for name in ("webhook", "quiet_from", "quiet_until", "time_zone")),
    *(sa.Column(name, Integer, nullable=False) for name in ("most_per_hour", "enabled", "sequence")),
    sa.Column("ended", Text, nullable=False),
    *(sa.Column(name, Integer, nullable=False) for name in ("created_at", "changed_at")),
    sa.Index("watched_searches_by_owner", "owner"),
    sqlite_strict=True,
)

ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("number", Integer, primary_key=True, autoincrement=False),
    sa.Column("alert_id", Text, nullable=False, unique=True),
    *(sa.Column(name, Text, nullable=False) for name in ("watch_id", "camera_id", "track_id", "crop_id")),
    sa.Column("captured_at", Integer, nullable=False),
    *(sa.Column(name, Real, nullable=False) for name in ("confidence", "score", "threshold")),
    sa.Column("raised_at", Integer, nullable=False),
    sa.Column("released_at", Integer),
    sa.Column("change", Integer, nullable=False),
    sa.Column("delivery", Text, nullable=False),
    *(sa.Column(name, Integer, nullable=False) for name in ("attempts", "next_at")),
    sa.Column("failure", Text, nullable=False),
    sa.Index("alerts_by_watch", "watch_id", "released_at"),
    sa.Index("alerts_by_change", "change"),
    sa.Index("alerts_by_crop", "crop_id"),
    sa.Index("alerts_by_delivery", "delivery", "next_at"),
    sqlite_strict=True,
)

# The last of numbers that are never given twice, also where the row that had it is gone.
COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", Text, primary_key=True),
    sa.Column("number", Integer, nullable=False),
    sqlite_strict=True,
)

# What may be asked of a record has a column; the record itself is the text that its hash was made of.
AUDIT_RECORDS = sa.Table(
    "audit_records",
    METADATA,
    sa.Column("sequence", Integer, primary_key=True, autoincrement=False),
    sa.Column("event", Text, nullable=False),
    sa.Column("request_id", Text),
    sa.Column("search_request_id", Text),
    sa.Column("record", Text, nullable=False),
    sa.Column("torn", sa.LargeBinary),
    sa.Index("audit_records_by_request", "request_id", "event"),
    sa.Index("audit_records_by_event", "event", "sequence"),
    sa.Index("audit_records_by_search", "search_request_id"),
    sqlite_strict=True,
)
