"""The pieces of a document as bytes, to be told from one process to another."""

import struct
from collections.abc import Sequence

from otari.domain.documents import LeftOut, Picture, Piece

_HEAD = struct.Struct(">cIHBI")  # kind, page, degrees, length of the media type, length of the rest
_TEXT, _PICTURE, _LEFT_OUT = b"t", b"p", b"l"


def write_pieces(pieces: Sequence[Piece]) -> bytes:
    """Pieces → bytes. What is no text to anybody (half a character) becomes a question mark."""
    return b"".join(map(_written, pieces))


def _written(piece: Piece) -> bytes:
    match piece:
        case Picture(page, media_type, data, turned):
            return _HEAD.pack(_PICTURE, page, turned, len(media_type), len(data)) + media_type.encode() + data
        case LeftOut(page, why):
            words = why.encode("utf-8", "replace")
            return _HEAD.pack(_LEFT_OUT, page, 0, 0, len(words)) + words
        case text:
            words = text.encode("utf-8", "replace")
            return _HEAD.pack(_TEXT, 0, 0, 0, len(words)) + words


def read_pieces(data: bytes) -> tuple[Piece, ...]:
    """Bytes → pieces."""
    pieces: list[Piece] = []
    at = 0
    while at < len(data):
        kind, page, turned, type_length, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        media_type = data[at : at + type_length].decode()
        at += type_length
        body = data[at : at + length]
        at += length
        if kind == _PICTURE:
            pieces.append(Picture(page, media_type, body, turned))
        else:
            pieces.append(body.decode() if kind == _TEXT else LeftOut(page, body.decode()))
    return tuple(pieces)
