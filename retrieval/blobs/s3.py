"""A connection to a bucket of any server that speaks S3, by obstore, and what its failures mean."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from models.packages import NotInstalled, command
from retrieval.blobs.address import Address
from retrieval.blobs.errors import BlobMissing
from retrieval.database.errors import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig, S3Config

WAIT_SECONDS = 30.0
_STATUS, _CODE = re.compile(r"status code: (\d{3})"), re.compile(r"<Code>(\w{1,64})</Code>")
_KIND = re.compile(r"kind: (\w{1,64})")  # of what failed before there was a status: Connect, Timeout
# MinIO's and Ceph's; S3 itself is never full.
_NO_ROOM = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})


class Connection:
    """Asks nothing before the first call of `library`'s functions, which take `bucket`.

    wait_seconds: of silence, and after which nothing is tried again. Raises NotInstalled.
    """

    def __init__(self, address: Address, wait_seconds: float) -> None:
        try:
            import obstore
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise NotInstalled(f"{error}: a bucket needs `{command('obstore')}`") from error
        self.library = obstore
        self.failures = (obstore.exceptions.BaseError, OSError)
        self.bucket = S3Store(
            address.bucket,
            prefix=address.prefix or None,
            config=_config(address),
            client_options=_client(wait_seconds),
            retry_config=_retries(wait_seconds),
        )


def judged(error: Exception) -> tuple[type[StoreError], str]:
    """What it means, and what of it may be logged: an answer's body names keys, the URL of a role's has its token."""
    text = str(error)
    found = [match[1] for pattern in (_STATUS, _CODE, _KIND) if (match := pattern.search(text))]
    reason = " ".join([type(error).__name__, *found])
    if "NoSuchKey" in found:
        return BlobMissing, reason
    return (StoreFull if "507" in found or not _NO_ROOM.isdisjoint(found) else StoreUnavailable), reason


def _config(address: Address) -> "S3Config":
    """Over what the environment says. Objects are deleted one by one: not every server can do more."""
    config: S3Config = {"disable_bulk_delete": True}
    if address.region:
        config["region"] = address.region
    if address.endpoint:
        config |= {
            "endpoint": address.endpoint,
            "aws_endpoint_url_s3": address.endpoint,  # else AWS_ENDPOINT_URL_S3 would win
            "virtual_hosted_style_request": False,
        }
    return config


def _client(wait_seconds: float) -> "ClientConfig":
    silence = timedelta(seconds=wait_seconds)
    return {
        "allow_http": True,  # where the endpoint says so
        "connect_timeout": min(silence, timedelta(seconds=5)),
        "read_timeout": silence,
        "timeout": timedelta(days=1),  # of a whole answer: who reads it may take long
    }


def _retries(wait_seconds: float) -> "RetryConfig":
    pauses: BackoffConfig = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)}
    return {"max_retries": 3, "retry_timeout": timedelta(seconds=wait_seconds), "backoff": pauses}
