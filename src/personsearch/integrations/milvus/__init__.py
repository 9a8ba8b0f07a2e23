"""The vector store in Milvus: Lite, its server mode, and a Milvus server."""
