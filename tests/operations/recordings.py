"""Sound files for tests, written by hand: heads that say how long they play, and bytes behind them."""

import struct
from collections.abc import Iterator


class Recording:
    """A file in memory; see `operations.transcriptions.Sound`. `passed` counts how often it was read as a whole."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.passed = 0

    def at(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def pieces(self) -> Iterator[bytes]:
        self.passed += 1
        for start in range(0, self.size, 1000):
            yield self.data[start : start + 1000]


def wav(seconds: float, rate: int = 8_000, told: int | None = None) -> bytes:
    """16 bit, one channel; `told` is the length that the head claims for its data."""
    samples = bytes(int(seconds * rate) * 2)
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    size = len(samples) if told is None else told
    head = b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"data" + struct.pack("<I", size) + samples


def flac(seconds: float, rate: int = 44_100) -> bytes:
    packed = (rate << 44) | (1 << 41) | (15 << 36) | int(seconds * rate)
    return b"fLaC" + bytes([0x80, 0, 0, 34]) + bytes(10) + packed.to_bytes(8, "big") + bytes(16) + bytes(40_000)


def ogg(seconds: float, vorbis_rate: int | None = None) -> bytes:
    rate = vorbis_rate or 48_000
    page = b"OggS" + bytes([0, 2]) + struct.pack("<q", 0) + bytes(13)
    first = b"OpusHead" if vorbis_rate is None else b"\x01vorbis" + bytes(5) + struct.pack("<I", vorbis_rate)
    last = b"OggS" + bytes([0, 4]) + struct.pack("<q", int(seconds * rate)) + bytes(13)
    return page + first + bytes(100) + bytes(30_000) + last + bytes(50)


def mp3(seconds: int, *, tag: int = 0) -> bytes:
    """128 kbit/s, 44.1 kHz, behind a tag of so many bytes."""
    head = b"ID3\x04\0\0" + bytes((tag >> shift) & 0x7F for shift in (21, 14, 7, 0)) + bytes(tag) if tag else b""
    return head + b"\xff\xfb\x90\x00" + bytes(seconds * 16_000 - 4)


def mp3_of_frames(frames: int) -> bytes:
    """A bit rate that varies: the first frame counts them."""
    return b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + struct.pack(">II", 1, frames) + bytes(30_000)


def mp4(seconds: int, *, version: int = 0, behind: bool = False) -> bytes:
    if version:
        told = bytes([1, 0, 0, 0]) + bytes(16) + struct.pack(">IQ", 1000, seconds * 1000) + bytes(80)
    else:
        told = bytes(4) + bytes(8) + struct.pack(">II", 1000, seconds * 1000) + bytes(80)
    movie = _box(b"moov", _box(b"mvhd", told) + _box(b"trak", bytes(100)))
    sound = _box(b"mdat", bytes(200_000))
    return _box(b"ftyp", b"M4A \0\0\0\0") + (sound + movie if behind else movie + sound)


def _box(kind: bytes, inside: bytes) -> bytes:
    return struct.pack(">I", 8 + len(inside)) + kind + inside


def webm(seconds: float, *, wide: bool = True) -> bytes:
    length = (
        b"\x44\x89\x88" + struct.pack(">d", seconds * 1000)
        if wide
        else b"\x44\x89\x84" + struct.pack(">f", seconds * 1000)
    )
    return b"\x1a\x45\xdf\xa3" + bytes(30) + b"\x2a\xd7\xb1\x83\x0f\x42\x40" + length + bytes(30_000)
