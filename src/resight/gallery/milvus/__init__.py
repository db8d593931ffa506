"""The back-end on a Milvus server or cluster."""
