"""The searchable store of people.

`Gallery` checks and ranks, a `Backend` stores and finds: `Embedded` in one folder, `Milvus` on a server.
Importing this package does not import torch.
"""

from resight.gallery.gallery import Gallery
from resight.gallery.records import Filter, Hit, Person, Record

__all__ = ["Filter", "Gallery", "Hit", "Person", "Record"]
