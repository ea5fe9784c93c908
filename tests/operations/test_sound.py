"""How long a recording is, by its own word, and what is made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.operations import sound
from tests.operations import recordings
from tests.operations.recordings import Recording


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (recordings.wav(3), 3),
        (recordings.wav(3, told=0), 3),  # written as it went
        (recordings.wav(3, told=0xFFFFFFFF), 3),
        (recordings.wav(0.5, rate=48_000), 0.5),
        (recordings.flac(12.5), 12.5),
        (recordings.ogg(9), 9),
        (recordings.ogg(9, vorbis_rate=44_100), 9),
        (recordings.mp3(4), 4),
        (recordings.mp3(4, tag=300_000), 4),  # a picture of the cover stands before it
        (recordings.mp3_of_frames(1000), 1000 * 1152 / 44_100),
        (recordings.mp4(61), 61),
        (recordings.mp4(61, version=1), 61),
        (recordings.mp4(61, behind=True), 61),
        (recordings.webm(33), 33),
        (recordings.webm(33, wide=False), 33),
    ],
)
def test_the_formats_that_transcription_takes_say_how_long_they_are(data: bytes, seconds: float) -> None:
    assert sound.duration(Recording(data)) == pytest.approx(seconds, rel=1e-3)


def test_what_says_nothing_is_taken_by_its_size() -> None:
    unknown = Recording(bytes(80_000))
    assert sound.duration(unknown) is None
    assert sound.about(unknown) == 10  # as speech at 64 kbit/s
    assert sound.at_most(unknown) == 81  # at the lowest rate that speech is kept in
    assert sound.about(Recording(b"x")) == 1


def test_a_file_is_not_believed_beyond_its_size() -> None:
    assert sound.duration(Recording(recordings.flac(1_000_000, rate=8_000))) is None  # longer than its bytes can hold
    short = Recording(recordings.mp4(1) + bytes(20_000_000))
    assert sound.duration(short) == 1
    assert sound.at_most(short) > 100  # nobody records speech so densely: the hold is not for one second


@given(
    st.binary(max_size=300),
    st.sampled_from([b"RIFF....WAVE", b"fLaC", b"OggS", b"....ftyp", b"\x1a\x45\xdf\xa3", b"ID3", b"\xff\xfb"]),
)
def test_no_bytes_break_it(data: bytes, start: bytes) -> None:
    file = Recording(start + data)
    told = sound.duration(file)
    assert told is None or 0 < told <= file.size
    assert sound.about(file) >= 1
    assert sound.at_most(file) >= 1


def test_a_box_that_leads_nowhere_ends_the_search() -> None:
    for size in (b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\7"):
        assert sound.duration(Recording(size + b"ftyp" + bytes(100))) is None
