"""Encoders, vector indexes, filters and the searcher that joins them."""
