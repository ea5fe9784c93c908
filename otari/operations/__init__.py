"""Single-shot calls as pure codecs, one file per operation: requests for providers, answers for clients.

`operation` has the protocol that all of them follow.
"""

from collections.abc import Mapping
from typing import Any

from otari.operations.embeddings import EMBEDDINGS
from otari.operations.images import IMAGES
from otari.operations.moderations import MODERATIONS
from otari.operations.operation import Operation
from otari.operations.rerank import RERANK
from otari.operations.speech import SPEECH
from otari.operations.transcriptions import TRANSCRIPTIONS

_ALL: tuple[Operation[Any], ...] = (EMBEDDINGS, MODERATIONS, RERANK, IMAGES, TRANSCRIPTIONS, SPEECH)

OPERATIONS: Mapping[str, Operation[Any]] = {operation.name: operation for operation in _ALL}
FLAVOURS = frozenset().union(*(operation.flavours for operation in _ALL))
