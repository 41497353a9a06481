"""A whole server as a process of its own, and what is done to it from outside. Loopback only.

What of it can be asked of a part alone is tested there: each limit of a connection in tests/server/listening, a client
that leaves in its body (one debug line) in tests/server/http/test_left_mid_body.py, two owners on every operation of
the OpenAPI document in tests/server/access/test_auth.py, a disk that fills at 20 random moments in
tests/server/app/test_disk_fills.py, deletes on a full one in tests/retrieval/store/test_leaving.py, a kill at any
statement of an ingest on both databases in tests/retrieval/ingest/test_killed.py and test_database_killed.py, and at
any commit of a delete in test_leaving.py.
"""
