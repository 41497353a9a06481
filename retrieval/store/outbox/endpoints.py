"""Webhooks of an owner: made, changed, their secrets rotated, disabled and deleted."""

import base64
import json
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, null, select, update

from retrieval.database.columns import to_json
from retrieval.database.constructs import any_of
from retrieval.store.base.removal import mark_leftovers
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import Order, cursor_values, page
from retrieval.store.base.values import NotFound, Page
from retrieval.store.outbox.events import LAST_DELIVERIES, put_for
from retrieval.store.outbox.tables import webhook_deliveries, webhook_events, webhooks
from retrieval.store.outbox.values import MOST, TEST, TooManyWebhooks, Webhook, WebhookDisabled

_W, _D = webhooks.c, webhook_deliveries.c
_SECRET_BYTES = 32  # the specification: 24 to 64
_OF_OWNER = _W.owner == bindparam("owner")
_ONE = select(webhooks).where(_OF_OWNER, _W.id == bindparam("webhook_id"))
_LOCKED = _ONE.with_for_update()
_COUNT = select(func.count()).select_from(webhooks).where(_OF_OWNER)
_SET = update(webhooks).where(_W.n == bindparam("number"))
_DELETE = delete(webhooks).where(_W.n == bindparam("number"))
_EVENTS = select(_D.event).where(_D.webhook == bindparam("number"))
_OF_EVENTS = any_of(webhook_events.c.n, "events")
_UNHEARD = delete(webhook_events).where(_OF_EVENTS, ~select(_D.n).where(_D.event == webhook_events.c.n).exists())


class Endpoints(Repository):
    """/api/v1/webhooks. Every call that names one raises NotFound, another owner's included."""

    def create(self, owner: str, url: str, description: str, events: Sequence[str] | None) -> tuple[Webhook, str]:
        """With its secret, which nothing tells again. events: None for all. Raises TooManyWebhooks."""
        secret = _new_secret()
        row: dict[str, Any] = {
            "id": f"we_{secrets.token_hex(12)}",
            "owner": owner,
            "url": url,
            "description": description,
        }
        row |= {"events": _code(events), "secrets": to_json([[secret, None]]), "created_at": self._now}
        with self._database.write() as db:
            self._database.exclude(db, f"webhooks {owner}")
            if db.execute(_COUNT, {"owner": owner}).scalar_one() >= MOST:
                raise TooManyWebhooks(f"there are {MOST} webhooks already, as many as may be: delete one first")
            made = db.execute(insert(webhooks).returning(webhooks), row).one()
        return _webhook_of(made), secret

    def get(self, owner: str, webhook_id: str) -> Webhook:
        with self._database.read() as db:
            return _webhook_of(_row(db, owner, webhook_id))

    def page(
        self, owner: str, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[Webhook]:
        """By time of making. after, before: ids. Raises UnknownCursor."""

        def number(cursor: str) -> int:
            return int(_row(db, owner, cursor).n)

        with self._database.read() as db:
            wanted = select(webhooks).where(_OF_OWNER).params(owner=owner)
            rows, more = page(db, wanted, _W.n, limit, order, *cursor_values(number, after, before))
            return Page([_webhook_of(row) for row in rows], more)

    def change(
        self,
        owner: str,
        webhook_id: str,
        *,
        url: str | None = None,
        description: str | None = None,
        events: Sequence[str] | None = None,
        every_event: bool = False,
        enabled: bool | None = None,
    ) -> Webhook:
        """What is None stays. every_event: of events, which are None then. Enabled again, it has no failure behind it,
        and what waited for it goes on; what happened meanwhile was not kept for it.
        """
        given: dict[str, Any] = {"url": url, "description": description, "events": _code(events)}
        values = {name: value for name, value in given.items() if value is not None}
        if every_event:
            values["events"] = null()
        if enabled is not None:
            reason = null() if enabled else "by its owner"
            values |= {"enabled": int(enabled), "disabled_reason": reason, "failing_since": null()}
        with self._database.write() as db:
            row = _row(db, owner, webhook_id, locked=True)
            if values:
                db.execute(_SET.values(**values), {"number": row.n})
            return _webhook_of(_row(db, owner, webhook_id))

    def rotate(self, owner: str, webhook_id: str, keep_seconds: float) -> tuple[Webhook, str]:
        """A new secret; those before it sign beside it for so long from now."""
        new = _new_secret()
        with self._database.write() as db:
            row = _row(db, owner, webhook_id, locked=True)
            now = self._clock()
            kept = [[each, now + keep_seconds if until is None else until] for each, until in json.loads(row.secrets)]
            still = [each for each in kept if each[1] > now]
            db.execute(_SET.values(secrets=bindparam("to")), {"number": row.n, "to": to_json([[new, None], *still])})
            return _webhook_of(row), new

    def test(self, owner: str, webhook_id: str) -> str:
        """Puts up a delivery of the type `webhook.test`: its id. Raises WebhookDisabled."""
        with self._database.write() as db:
            row = _row(db, owner, webhook_id, locked=True)
            if not row.enabled:
                raise WebhookDisabled(webhook_id, row.disabled_reason)
            return put_for(db, [row.n], TEST, {"webhook_id": webhook_id}, self._clock())[0]

    def delete(self, owner: str, webhook_id: str) -> None:
        """With all of its deliveries."""

        def delete() -> None:
            with self._database.write() as db:
                self._database.exclude(db, LAST_DELIVERIES)
                number = {"number": _row(db, owner, webhook_id, locked=True).n}
                events = db.scalars(_EVENTS, number).all()
                db.execute(_DELETE, number)
                db.execute(_UNHEARD, {"events": events})
                mark_leftovers(db)

        self._database.freeing(delete)


def valid_secrets(code: str, now: float) -> list[str]:
    """Of the column, the newest first."""
    return [secret for secret, until in json.loads(code) if until is None or until > now]


def _row(db: Connection, owner: str, webhook_id: str, *, locked: bool = False) -> Row[Any]:
    row = db.execute(_LOCKED if locked else _ONE, {"owner": owner, "webhook_id": webhook_id}).first()
    if row is None:
        raise NotFound(f"no webhook {webhook_id!r}")
    found: Row[Any] = row
    return found


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _code(events: Sequence[str] | None) -> str | None:
    return None if events is None else to_json(list(dict.fromkeys(events)))


def _webhook_of(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        url=row.url,
        description=row.description,
        events=None if row.events is None else tuple(json.loads(row.events)),
        enabled=bool(row.enabled),
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        created_at=row.created_at,
    )
