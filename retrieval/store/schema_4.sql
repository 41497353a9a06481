-- A file version is worked through in attempts: who works at an older one than this has nothing more to write.

ALTER TABLE store_files ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;  -- raised when it is put up again, and when it is taken up
