"""Webhooks, events and deliveries as values. Times are Unix seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from retrieval.store.base.values import StoreConflict

# feedback.created: answers cannot be rated yet; who wants to hear of it may say so now.
EventType = Literal["file.completed", "file.failed", "batch.completed", "batch.failed", "feedback.created"]
DeliveryStatus = Literal["pending", "delivered", "failed"]

EVENTS: tuple[EventType, ...] = get_args(EventType)
TEST = "webhook.test"  # of a delivery that was asked for, to see whether it arrives
MOST = 20  # webhooks of one owner


class TooManyWebhooks(StoreConflict):
    pass


class WebhookDisabled(StoreConflict):
    """Nothing is sent to it, until it is enabled again."""

    def __init__(self, webhook_id: str, reason: str) -> None:
        super().__init__(f"webhook {webhook_id!r} is disabled ({reason}): enable it first")


@dataclass(frozen=True, slots=True)
class Webhook:
    """events: None for all. failing_since: its first failure after its last success."""

    id: str
    url: str
    description: str
    events: tuple[str, ...] | None
    enabled: bool
    disabled_reason: str | None
    failing_since: float | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """due: of the next attempt, None where there is none to come. response_code: of the last, None without an answer.

    sending: somebody is at it now.
    """

    id: str
    webhook_id: str
    event_id: str
    type: str
    status: DeliveryStatus
    attempts: int
    due: float | None
    sending: bool
    response_code: int | None
    error: str | None
    created_at: float
    tried_at: float | None
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """One attempt, leased. number, webhook: rows. attempt: of all; step: of the schedule, from 0. secrets: base64 after
    `whsec_`, those that are valid now, the newest first.
    """

    number: int
    webhook: int
    webhook_id: str
    attempt: int
    step: int
    url: str
    secrets: Sequence[str]
    event_id: str
    type: str
    payload: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of an attempt. error: None is success. again: seconds until the next one; None gives up. gone: the receiver wants
    no more, ever.
    """

    code: int | None = None
    error: str | None = None
    again: float | None = None
    gone: bool = False
