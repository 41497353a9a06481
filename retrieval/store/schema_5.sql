-- The counts of a vector store's files, and their bytes, are read from this index alone (benchmarks/resolve.py).

CREATE INDEX store_files_by_status ON store_files (store, status, usage_bytes);
