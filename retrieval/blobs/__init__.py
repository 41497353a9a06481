"""The bytes of uploaded files, by their SHA-256: in a folder, or in a bucket of an S3 server.

Knows no owner, no name and no number of uses: who keeps rows (retrieval/store) says what is put and what is deleted.

Door: base, errors, objects, opening, staging, temporary.
Imports: retrieval.database.
"""
