"""How long a sound file plays, by what its head says: WAV, FLAC, Ogg, MP3, MP4 and WebM.

It is the file's own word, so nothing here is believed beyond what a file of its size can hold. Nothing is decoded.
"""

import math
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

_HEAD_BYTES = _TAIL_BYTES = 64 * 1024
_MAX_BOXES = 64

# Bytes a second: of speech in an unknown format (64 kbit/s), of the lowest rate that speech is recorded at (8 kbit/s),
# and of 48 kHz stereo in 16 bit, above which hardly anybody records any.
_TYPICAL, _LOWEST, _HIGHEST = 8_000, 1_000, 192_000

_BITRATES = {  # kbit/s by index, of MPEG 1 and of MPEG 2, layer III
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version
_WEBM_DURATION = ((b"\x44\x89\x88", ">d"), (b"\x44\x89\x84", ">f"))
_WEBM_SCALE = b"\x2a\xd7\xb1\x83"


class Readable(Protocol):
    """A file that can be read anywhere."""

    @property
    def size(self) -> int: ...

    def at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on."""
        ...


def at_most(file: Readable) -> int:
    """An upper bound in seconds, for what may be charged."""
    told = duration(file)
    if told is None:
        return file.size // _LOWEST + 1
    return math.ceil(max(told, file.size / _HIGHEST))


def about(file: Readable) -> int:
    """An estimate in seconds."""
    told = duration(file)
    return max(1, round(file.size / _TYPICAL if told is None else told))


def duration(file: Readable) -> float | None:
    """What the file says of its length, in seconds; None when it says nothing that can be."""
    head = file.at(0, _HEAD_BYTES)
    for fits, read in _READERS:
        if fits(head):
            try:
                told = read(file, head)
            except (struct.error, ArithmeticError, LookupError, ValueError):
                return None
            most = file.size / 50  # no codec in use needs less than 400 bits a second
            return told if told is not None and 0 < told <= most else None
    return None


def _wav(file: Readable, head: bytes) -> float | None:
    rate, at = 0, 12
    while at + 8 <= len(head):
        (length,) = struct.unpack_from("<I", head, at + 4)
        if head[at : at + 4] == b"fmt ":
            (rate,) = struct.unpack_from("<I", head, at + 16)
        elif head[at : at + 4] == b"data":
            return float(min(length or file.size, file.size - at - 8) / rate)  # who writes as it goes says 0, or 4 GiB
        at += 8 + length + length % 2
    return None


def _flac(file: Readable, head: bytes) -> float | None:
    packed = int.from_bytes(head[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples / rate


def _ogg(file: Readable, head: bytes) -> float | None:
    vorbis = head.find(b"\x01vorbis", 0, 256)
    rate = struct.unpack_from("<I", head, vorbis + 12)[0] if vorbis > 0 else 48_000
    tail = file.at(max(0, file.size - _TAIL_BYTES), _TAIL_BYTES)
    last = tail.rfind(b"OggS")
    if last < 0:
        return None
    (samples,) = struct.unpack_from("<q", tail, last + 6)
    return float(samples / rate)


def _mp3(file: Readable, head: bytes) -> float | None:
    start = 0
    if head.startswith(b"ID3"):
        start = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        head = file.at(start, _HEAD_BYTES)
    word = int.from_bytes(head[:4], "big")
    version, layer = word >> 19 & 3, word >> 17 & 3
    if word >> 21 != 0x7FF or layer != 1 or version == 1:
        return None
    rate = _MP3_RATES[version][word >> 10 & 3]
    marked = max(head.find(b"Xing", 0, 200), head.find(b"Info", 0, 200))
    if marked > 0 and head[marked + 7] & 1:  # how many frames there are: the bit rate varies
        (frames,) = struct.unpack_from(">I", head, marked + 8)
        return float(frames * (1152 if version == 3 else 576) / rate)
    bytes_per_second = _BITRATES[version == 3][word >> 12 & 15] * 125
    return (file.size - start) / bytes_per_second


def _mp4(file: Readable, head: bytes) -> float | None:
    for kind, start, end in _boxes(file, 0, file.size):
        if kind == b"moov":
            for inner, place, _ in _boxes(file, start, end):
                if inner == b"mvhd":
                    return _movie_header(file.at(place, 32))
    return None


def _boxes(file: Readable, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of the boxes of an MP4 file between two places."""
    end = min(end, file.size)
    for _ in range(_MAX_BOXES):
        head = file.at(start, 16) if start < end else b""
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        inside = start + 8
        if length == 1:
            length, inside = struct.unpack(">Q", head[8:16])[0], start + 16
        elif length == 0:
            length = end - start
        if length < 8:
            return
        yield kind, inside, start + length
        start += length


def _movie_header(box: bytes) -> float | None:
    if box[0] == 1:
        scale, length = struct.unpack_from(">IQ", box, 20)
    else:
        scale, length = struct.unpack_from(">II", box, 12)
    return float(length / scale)


def _webm(file: Readable, head: bytes) -> float | None:
    scale = head.find(_WEBM_SCALE)
    nanoseconds = int.from_bytes(head[scale + 4 : scale + 7], "big") if scale >= 0 else 1_000_000
    for mark, form in _WEBM_DURATION:
        at = head.find(mark)
        if at >= 0:
            (units,) = struct.unpack_from(form, head, at + len(mark))
            told = units * nanoseconds / 1e9
            return float(told) if math.isfinite(told) else None
    return None


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Readable, bytes], float | None]], ...] = (
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WAVE", _wav),
    (lambda head: head.startswith(b"fLaC"), _flac),
    (lambda head: head.startswith(b"OggS"), _ogg),
    (lambda head: head[4:8] == b"ftyp", _mp4),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), _webm),
    (lambda head: head.startswith(b"ID3") or head[:1] == b"\xff", _mp3),
)
