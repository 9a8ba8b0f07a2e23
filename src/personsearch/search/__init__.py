"""Vector indexes, filters, and the searcher that combines them with an encoder."""
