"""/api/v1/webhooks: who is told of what, and what became of it."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from retrieval.store.outbox.values import Delivery, DeliveryStatus, EventType, Webhook
from retrieval.store.store import Store
from server.access.authentication import Owner
from server.http.errors import bad_request
from server.http.json_body import JsonRoute, NoNul
from server.http.paging import Paging, listing
from server.http.provided import provided
from server.outgoing.addresses import Allowed
from server.webhooks.opening import Webhooks
from server.webhooks.urls import problem

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"], route_class=JsonRoute)
StoreNow = Annotated[Store, provided(Store)]
HooksNow = Annotated[Webhooks, provided(Webhooks)]
Url = Annotated[str, Field(min_length=1, max_length=2048), NoNul]
Description = Annotated[str, Field(max_length=512), NoNul]
Events = Annotated[list[EventType], Field(min_length=1, max_length=16)]
ROTATION_HOURS = 24


class NewWebhook(BaseModel):
    """events: none is all of them."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: Url
    events: Events | None = None
    description: Description = ""


class ChangedWebhook(BaseModel):
    """What is not sent stays. events: null is all of them. enabled: true also of one that was disabled by itself."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    keep_hours: float = Field(default=ROTATION_HOURS, ge=0, le=24 * 30, allow_inf_nan=False)


@router.post("")
async def create(body: NewWebhook, owner: Owner, store: StoreNow, hooks: HooksNow) -> dict[str, Any]:
    """`secret` is shown here and by its rotation, and nowhere else: requests are signed with it, as the Standard
    Webhooks specification says. Addresses that are not public are refused, but for those that the setting
    webhooks.allow names.
    """
    _check(hooks.allowed, body.url)
    made = partial(store.webhooks.create, owner, body.url, body.description, body.events)
    webhook, secret = await store.writes.run(made)
    return webhook_object(webhook) | {"secret": secret}


@router.get("")
async def list_webhooks(owner: Owner, store: StoreNow, cursor: Paging) -> dict[str, Any]:
    page = await store.reads.run(partial(store.webhooks.page, owner, **cursor.arguments))
    return listing([webhook_object(each) for each in page.items], page.has_more)


@router.get("/{webhook_id}")
async def get(webhook_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    return webhook_object(await store.reads.run(store.webhooks.get, owner, webhook_id))


@router.post("/{webhook_id}")
async def modify(
    webhook_id: str,
    body: ChangedWebhook,
    owner: Owner,
    store: StoreNow,
    hooks: HooksNow,
) -> dict[str, Any]:
    """A webhook that is disabled keeps what waited for it, and is sent nothing until it is enabled."""
    if body.url is not None:
        _check(hooks.allowed, body.url)
    every = "events" in body.model_fields_set and body.events is None
    change = partial(store.webhooks.change, url=body.url, description=body.description, enabled=body.enabled)
    changed = await store.writes.run(change, owner, webhook_id, events=body.events, every_event=every)
    hooks.dispatcher.wake()
    return webhook_object(changed)


@router.delete("/{webhook_id}")
async def delete(webhook_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    """With its deliveries."""
    await store.writes.run(store.webhooks.delete, owner, webhook_id)
    return {"id": webhook_id, "object": "webhook", "deleted": True}


@router.post("/{webhook_id}/rotate_secret")
async def rotate_secret(webhook_id: str, owner: Owner, store: StoreNow, body: Rotation | None = None) -> dict[str, Any]:
    """A new `secret`. Requests are signed with the old one too for `keep_hours` (24), so that the receiver may change
    in between; 0 after a leak.
    """
    kept = (body or Rotation()).keep_hours * 3600
    webhook, secret = await store.writes.run(store.webhooks.rotate, owner, webhook_id, kept)
    return webhook_object(webhook) | {"secret": secret}


@router.post("/{webhook_id}/test")
async def test(webhook_id: str, owner: Owner, store: StoreNow, hooks: HooksNow) -> dict[str, Any]:
    """Sends an event of the type `webhook.test`: the delivery tells what becomes of it."""
    delivery_id = await store.writes.run(store.webhooks.test, owner, webhook_id)
    hooks.dispatcher.wake()
    return delivery_object(await store.reads.run(store.deliveries.get, owner, webhook_id, delivery_id))


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: str,
    owner: Owner,
    store: StoreNow,
    cursor: Paging,
    status: Annotated[DeliveryStatus | None, Query(alias="filter")] = None,
) -> dict[str, Any]:
    """Those that ended more than thirty days ago are gone."""
    listed = partial(store.deliveries.page, owner, webhook_id, status, **cursor.arguments)
    page = await store.reads.run(listed)
    return listing([delivery_object(each) for each in page.items], page.has_more)


@router.get("/{webhook_id}/deliveries/{delivery_id}")
async def get_delivery(webhook_id: str, delivery_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    return delivery_object(await store.reads.run(store.deliveries.get, owner, webhook_id, delivery_id))


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry")
async def retry(webhook_id: str, delivery_id: str, owner: Owner, store: StoreNow, hooks: HooksNow) -> dict[str, Any]:
    """At once, whatever became of it, under the same `webhook-id`; where it fails, the schedule begins anew."""
    again = await store.writes.run(store.deliveries.retry, owner, webhook_id, delivery_id)
    hooks.dispatcher.wake()
    return delivery_object(again)


def webhook_object(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "object": "webhook",
        "created_at": webhook.created_at,
        "url": webhook.url,
        "description": webhook.description,
        "events": None if webhook.events is None else list(webhook.events),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": _whole(webhook.failing_since),
    }


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    """event_id: the request's `webhook-id`. Times are Unix seconds."""
    return {
        "id": delivery.id,
        "object": "webhook.delivery",
        "webhook_id": delivery.webhook_id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "status": delivery.status,
        "sending": delivery.sending,
        "attempts": delivery.attempts,
        "response_code": delivery.response_code,
        "last_error": delivery.error,
        "created_at": _whole(delivery.created_at),
        "last_attempt_at": _whole(delivery.tried_at),
        "next_attempt_at": _whole(delivery.due),
        "ended_at": _whole(delivery.ended_at),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _check(allowed: Allowed, url: str) -> None:
    if found := problem(url, allowed):
        raise bad_request(f"url: {found}", "url", "invalid_url")
