"""What a store can follow beside folders: the objects of a bucket, the pages of a list of URLs.

Door: base, bucket, fetching, following, urls.
Imports: retrieval.blobs, retrieval.database, retrieval.parsing, server.cli.base, server.outgoing.
"""
