"""What a webhook's deliveries hold, for a test."""

import json
from typing import Any

from retrieval.store.outbox.values import DeliveryJob
from retrieval.store.store import Store

URL = "https://example.com/hook"
LEASE, PATIENCE = 60.0, 1000.0


def claimed(store: Store, worker: str = "one") -> DeliveryJob:
    job = store.deliveries.claim(worker, LEASE)
    assert job is not None
    return job


def told(store: Store, owner: str, webhook_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of everything that was put up for it, the oldest first."""
    query = (
        "SELECT e.payload FROM webhook_deliveries d JOIN webhook_events e ON e.n = d.event"
        " JOIN webhooks w ON w.n = d.webhook WHERE w.id = %s ORDER BY d.n"
    )
    store.webhooks.get(owner, webhook_id)
    with store.database.read() as db:
        sql = query.replace("%s", "?") if store.database.is_sqlite else query
        payloads = [json.loads(row[0]) for row in db.exec_driver_sql(sql, (webhook_id,))]
    assert all(each.keys() == {"type", "timestamp", "data"} for each in payloads)
    return [(each["type"], each["data"]) for each in payloads]


def count(store: Store, table: str) -> int:
    with store.database.read() as db:
        return int(db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
