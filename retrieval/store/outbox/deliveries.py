"""Events on their way: claimed by one server at a time, tried until they arrive or it is given up, listed, pruned."""

import logging
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, null, select, update

from retrieval.database.constructs import any_of
from retrieval.store.base.guards import lock_stores
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import Order, cursor_values, page
from retrieval.store.base.values import DAY, NotFound, Page
from retrieval.store.outbox.endpoints import valid_secrets
from retrieval.store.outbox.events import LAST_DELIVERIES, OPEN_STORES, announce_batches
from retrieval.store.outbox.tables import webhook_deliveries, webhook_events, webhooks
from retrieval.store.outbox.values import Delivery, DeliveryJob, DeliveryStatus, Outcome, WebhookDisabled

log = logging.getLogger("ragpod.store")

KEPT_SECONDS = 30 * DAY  # of deliveries that have ended; of those to a disabled webhook since they were put up
_PRUNED = 1_000  # in a transaction
_W, _D, _E = webhooks.c, webhook_deliveries.c, webhook_events.c
_IDLE = (_W.enabled == 1, ~any_of(_W.n, "busy"))
_EARLIEST = select(func.min(_D.due)).where(_D.webhook == _W.n, _D.status == "pending").scalar_subquery()
_EACH = select(_W.n, _EARLIEST.label("due")).where(*_IDLE).subquery()
_NEXT_DUE = select(func.min(_EACH.c.due))
_TURN = select(_EACH.c.n).where(_EACH.c.due <= bindparam("now")).order_by(_EACH.c.due, _EACH.c.n).limit(1)
_TAKEN = (
    select(_D.n)
    .where(_D.webhook == bindparam("of_webhook"), _D.status == "pending", _D.due <= bindparam("now"))
    .order_by(_D.due, _D.n)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_ONE = update(webhook_deliveries).where(_D.n == bindparam("number"))
_LEASE = _ONE.values(
    attempts=_D.attempts + 1, leased_by=bindparam("worker"), due=bindparam("until"), tried_at=bindparam("now")
)
_JOB = (
    select(_D.n, _D.attempts, _D.step, _E.id.label("event_id"), _E.type, _E.payload)
    .add_columns(_W.n.label("webhook"), _W.id.label("webhook_id"), _W.url, _W.secrets)
    .join(webhook_events, _E.n == _D.event)
    .join(webhooks, _W.n == _D.webhook)
    .where(_D.n == bindparam("number"))
)
_MINE = (_D.leased_by == bindparam("worker"), _D.attempts == bindparam("attempt"), _D.status == "pending")
_TRIED = _ONE.where(*_MINE).values(
    leased_by=null(),
    status=bindparam("to"),
    due=bindparam("at"),
    step=_D.step + 1,
    response_code=bindparam("code"),
    error=bindparam("told"),
    ended_at=bindparam("ended"),
)
_RELEASE = (
    update(webhook_deliveries)
    .where(_D.leased_by == bindparam("worker"), _D.status == "pending")
    .values(leased_by=null(), due=bindparam("now"))
)
_WEBHOOK = select(webhooks).where(_W.n == bindparam("of_webhook"))
_SET = update(webhooks).where(_W.n == bindparam("of_webhook"))
_WELL = _SET.where(_W.failing_since.is_not(None)).values(failing_since=null())
_ILL = _SET.values(failing_since=func.coalesce(_W.failing_since, bindparam("now")))
_DISABLE = _SET.where(_W.enabled == 1).values(enabled=0, disabled_reason=bindparam("why"))
_OF_OWNER = (_W.owner == bindparam("owner"), _W.id == bindparam("webhook_id"))
_NUMBER = select(_W.n, _W.enabled, _W.disabled_reason).where(*_OF_OWNER)
_LISTED = (
    select(webhook_deliveries, _E.id.label("event_id"), _E.type, _E.created_at, _W.id.label("webhook_id"), _W.enabled)
    .join(webhook_events, _E.n == _D.event)
    .join(webhooks, _W.n == _D.webhook)
)
_NAMED = _LISTED.where(_D.webhook == bindparam("of_webhook"), _D.id == bindparam("delivery_id"))
_AGAIN = _ONE.values(status="pending", step=0, due=bindparam("now"), leased_by=null(), ended_at=null())
_OLD = select(_D.n).where(_D.ended_at <= bindparam("before")).limit(_PRUNED)
_STUCK = (
    select(_D.n)
    .join(webhooks, _W.n == _D.webhook)
    .join(webhook_events, _E.n == _D.event)
    .where(_W.enabled == 0, _D.status == "pending", _E.created_at <= bindparam("before"))
    .limit(_PRUNED)
)
_EVENTS_OF = select(_D.event).distinct().where(any_of(_D.n, "numbers"))
_DROP = delete(webhook_deliveries).where(any_of(_D.n, "numbers"))
_DROP_EVENTS = delete(webhook_events).where(any_of(_E.n, "events"), ~select(_D.n).where(_D.event == _E.n).exists())


class Deliveries(Repository):
    """For server/webhooks. worker: the server that delivers, by its data folder's name."""

    def claim(self, worker: str, seconds: float, busy: Collection[int] = ()) -> DeliveryJob | None:
        """Begins an attempt at the delivery that has waited longest, of a webhook that is enabled and not `busy` (rows
        of webhooks); leased for so long: then it is tried again. None: nothing to do now.
        """
        with self._database.write(durable=False) as db:
            now = self._clock()
            webhook: int | None = db.execute(_TURN, {"busy": list(busy), "now": now}).scalar()
            if webhook is None:
                return None
            number: int | None = db.execute(_TAKEN, {"of_webhook": webhook, "now": now}).scalar()
            if number is None:  # others are just claiming it
                return None
            db.execute(_LEASE, {"number": number, "worker": worker, "now": now, "until": now + seconds})
            return _job_of(db.execute(_JOB, {"number": number}).one(), now)

    def next_due(self, busy: Collection[int] = ()) -> float | None:
        """Unix seconds, from which on there is one to claim; None: none waits."""
        with self._database.one() as db:
            found: float | None = db.execute(_NEXT_DUE, {"busy": list(busy)}).scalar()
            return found

    def finish(self, worker: str, job: DeliveryJob, outcome: Outcome, patience: float) -> None:
        """What became of an attempt; nothing where somebody else has begun another one. A webhook that has failed for
        `patience` seconds without a success is disabled, and so is one that is gone.
        """
        with self._database.write() as db:
            now = self._clock()
            well, more = outcome.error is None, outcome.again is not None and not outcome.gone
            status: DeliveryStatus = "delivered" if well else "pending" if more else "failed"
            row = {"number": job.number, "worker": worker, "attempt": job.attempt, "to": status, "code": outcome.code}
            row |= {"at": now + (outcome.again or 0.0), "told": outcome.error, "ended": None if more else now}
            webhook = {"of_webhook": job.webhook}
            db.execute(
                _WEBHOOK.with_for_update(key_share=True), webhook
            ).all()  # of its attempts one is written at a time
            if not db.execute(_TRIED, row).rowcount:
                return
            if well:
                db.execute(_WELL, webhook)
                return
            db.execute(_ILL, {**webhook, "now": now})
            if why := _disabling(db.execute(_WEBHOOK, webhook).one(), outcome, now, patience):
                db.execute(_DISABLE, {**webhook, "why": why})
                log.warning("webhook %s to %s is disabled: %s", job.webhook_id, job.url, why)

    def release_all(self, worker: str) -> None:
        """What it is at may be claimed at once: it has ended, or it is known to be dead."""
        with self._database.write(durable=False) as db:
            db.execute(_RELEASE, {"worker": worker, "now": self._clock()})

    def get(self, owner: str, webhook_id: str, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        with self._database.read() as db:
            return _delivery_of(_named(db, _webhook(db, owner, webhook_id).n, delivery_id))

    def page(
        self,
        owner: str,
        webhook_id: str,
        status: DeliveryStatus | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[Delivery]:
        """By time of the event. after, before: ids. Raises NotFound, UnknownCursor."""

        def number(cursor: str) -> int:
            return int(_named(db, webhook, cursor).n)

        with self._database.read() as db:
            webhook: int = _webhook(db, owner, webhook_id).n
            wanted = _LISTED.where(_D.webhook == webhook)
            if status is not None:
                wanted = wanted.where(_D.status == status)
            rows, more = page(db, wanted, _D.n, limit, order, *cursor_values(number, after, before))
            return Page([_delivery_of(row) for row in rows], more)

    def retry(self, owner: str, webhook_id: str, delivery_id: str) -> Delivery:
        """Puts it up again, from the schedule's beginning, whatever became of it. Raises NotFound, WebhookDisabled."""
        with self._database.write() as db:
            webhook = _webhook(db, owner, webhook_id)
            if not webhook.enabled:
                raise WebhookDisabled(webhook_id, webhook.disabled_reason)
            found = _named(db, webhook.n, delivery_id)
            db.execute(_AGAIN, {"number": found.n, "now": self._clock()})
            return _delivery_of(_named(db, webhook.n, delivery_id))

    def announce(self) -> None:
        """Batches whose last file has ended without a word: it was deleted, detached, replaced."""
        with self._database.one() as db:
            stores = db.scalars(OPEN_STORES).all()
        for store in stores:
            with self._database.write(durable=False) as db:
                lock_stores(db, [store])
                announce_batches(db, [store], self._clock())

    def prune(self) -> None:
        """Deliveries that ended long ago, and what waits for a webhook that has been disabled for as long."""
        before = self._clock() - KEPT_SECONDS
        for old in (_OLD, _STUCK):
            while self._pruned(old, before):
                pass

    def _pruned(self, old: Any, before: float) -> bool:
        with self._database.one() as db:
            numbers = db.scalars(old, {"before": before}).all()
        if not numbers:
            return False
        with self._database.write(durable=False) as db:
            self._database.exclude(db, LAST_DELIVERIES)
            events = db.scalars(_EVENTS_OF, {"numbers": numbers}).all()
            db.execute(_DROP, {"numbers": numbers})
            db.execute(_DROP_EVENTS, {"events": events})
        return True


def _disabling(webhook: Row[Any], outcome: Outcome, now: float, patience: float) -> str | None:
    if outcome.gone:
        return f"it answered {outcome.code}: it wants no more"
    if now - webhook.failing_since >= patience:
        return f"nothing has arrived for {patience / DAY:.3g} days, last: {outcome.error}"
    return None


def _webhook(db: Connection, owner: str, webhook_id: str) -> Row[Any]:
    row: Any = db.execute(_NUMBER, {"owner": owner, "webhook_id": webhook_id}).first()
    if row is None:
        raise NotFound(f"no webhook {webhook_id!r}")
    found: Row[Any] = row
    return found


def _named(db: Connection, webhook: int, delivery_id: str) -> Row[Any]:
    row: Any = db.execute(_NAMED, {"of_webhook": webhook, "delivery_id": delivery_id}).first()
    if row is None:
        raise NotFound(f"no delivery {delivery_id!r} of that webhook")
    found: Row[Any] = row
    return found


def _job_of(row: Row[Any], now: float) -> DeliveryJob:
    return DeliveryJob(
        number=row.n,
        webhook=row.webhook,
        webhook_id=row.webhook_id,
        attempt=row.attempts,
        step=row.step,
        url=row.url,
        secrets=valid_secrets(row.secrets, now),
        event_id=row.event_id,
        type=row.type,
        payload=row.payload,
    )


def _delivery_of(row: Row[Any]) -> Delivery:
    sending = row.leased_by is not None
    waits = row.status == "pending" and row.enabled and not sending
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        type=row.type,
        status=row.status,
        attempts=row.attempts,
        due=row.due if waits else None,
        sending=sending,
        response_code=row.response_code,
        error=row.error,
        created_at=row.created_at,
        tried_at=row.tried_at,
        ended_at=row.ended_at,
    )
