"""Which store of blobs a setting means; each is imported when it is meant."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from retrieval.blobs.base import BlobStore

POSSIBLE = "`folder`, `file:///absolute/path` or `s3://bucket/prefix?endpoint=https://…&region=…`"


def blobs_of(url: str, data_dir: Path) -> BlobStore:
    """`folder`: that of the data directory. Raises ValueError, which repeats nothing of the URL, StoreUnavailable."""
    if url.startswith("s3://"):
        from retrieval.blobs.bucket import BucketBlobs

        return BucketBlobs(url)
    from retrieval.blobs.folder import FolderBlobs

    return FolderBlobs(data_dir / "blobs" if url == "folder" else _folder(url))


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    plain = parts.scheme == "file" and not (parts.netloc or parts.query or parts.fragment)
    if not plain or not path.is_absolute() or not path.name:
        raise ValueError(f"files are kept in {POSSIBLE}")
    return path
