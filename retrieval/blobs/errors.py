"""What a store of blobs can answer beside StoreUnavailable and StoreFull (retrieval/database/errors.py).

StoreError
└── BlobMissing     no blob of that digest is there, and the place where it would be does answer
ValueError
└── BlobTooLarge    more bytes came than the caller allows
"""

from retrieval.database.errors import StoreError


class BlobMissing(StoreError):
    pass


class BlobTooLarge(ValueError):
    pass
