"""The dispatcher as the settings want it."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from retrieval.store.store import Store
from server.outgoing.addresses import Allowed
from server.settings.settings import Settings
from server.webhooks.dispatcher import Dispatcher
from server.webhooks.sending import Sender


@dataclass(frozen=True, slots=True)
class Webhooks:
    """allowed: what is not public and may be called."""

    allowed: Allowed
    dispatcher: Dispatcher


def opened_webhooks(stack: AsyncExitStack, settings: Settings, store: Store) -> Webhooks:
    """It runs until the stack is left."""
    given = settings.webhooks
    allowed = Allowed(given.allow)
    sender = Sender(allowed, given.seconds, store.clock)
    dispatcher = Dispatcher(store.deliveries, sender, store.clock, worker=store.consumer)
    stack.push_async_callback(dispatcher.aclose)
    dispatcher.start()
    return Webhooks(allowed, dispatcher)
