"""Vector indexes, filters and the searcher that joins them with an encoder."""
