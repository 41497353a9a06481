"""Signatures of the Standard Webhooks specification (standardwebhooks.com), version 1."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"


def headers_of(secrets: Sequence[str], message_id: str, now: float, payload: bytes) -> Mapping[str, str]:
    """A signature by each secret, so that a receiver may know any one of them while they rotate. now: of this attempt,
    Unix seconds.
    """
    timestamp = str(int(now))
    signatures = [signature(secret, message_id, timestamp, payload) for secret in secrets]
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def signature(secret: str, message_id: str, timestamp: str, payload: bytes) -> str:
    """secret: `whsec_` and base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join((message_id.encode(), timestamp.encode(), payload))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
