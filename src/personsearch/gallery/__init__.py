"""Crops with camera and time: the store, ingest from video, building an index."""
