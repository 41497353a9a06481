"""Personal data made unreadable before anything of a document is stored.

Door: itself.
Imports: nothing.
"""

from retrieval.privacy.masking import mask, mask_all
from retrieval.privacy.patterns import KINDS, Kind

__all__ = ["KINDS", "Kind", "mask", "mask_all"]
