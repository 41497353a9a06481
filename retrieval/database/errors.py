"""What a database can answer instead of rows; imports nothing, so whoever catches these loads no database.

StoreError
├── StoreUnavailable    it cannot be reached, or is busy for longer than a transaction waits: the same may succeed later
├── StoreFull           it has no room left: the same fails until somebody makes some
├── StoreConflict       the row is there already, or another transaction won: nothing was written
└── NewerDatabase       it was written by a newer ragpod
"""


class StoreError(Exception):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreConflict(StoreError):
    pass


class NewerDatabase(StoreError):
    pass
