-- Learned lexical weights, of embedders that give them.

ALTER TABLE vector_stores ADD COLUMN lexical INTEGER NOT NULL DEFAULT 0;  -- whether every vector has them beside it

CREATE TABLE lexical_weights (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    weights BLOB NOT NULL                  -- token ids, then float16 (retrieval/indexes/sparse/index.py)
) STRICT;
