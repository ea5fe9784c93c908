"""A form around a file: what is written is read by another reader as what was meant."""

from hypothesis import given
from hypothesis import strategies as st

from otari.operations.multipart import File, Form
from otari.web.form_parts import PartHead, Splitter, boundary_of
from tests.operations.recordings import Recording

BOUNDARY = "otari-0123456789"


def written(
    fields: list[tuple[str, str]], name: str = "a.wav", kind: str | None = "audio/wav", data: bytes = b"RIFF"
) -> Form:
    return Form(fields, File("file", name, kind, Recording(data)), BOUNDARY)


def read(form: Form) -> list[tuple[PartHead, bytes]]:
    splitter = Splitter(boundary_of(form.content_type), 100)
    parts: list[tuple[PartHead, bytes]] = []
    for piece in form.pieces():
        for found in splitter.feed(piece):
            if isinstance(found, PartHead):
                parts.append((found, b""))
            elif isinstance(found, bytes):
                parts[-1] = (parts[-1][0], parts[-1][1] + found)
    splitter.end()
    return parts


def test_the_bytes_are_as_every_client_writes_them() -> None:
    form = written([("model", "m"), ("timestamp_granularities[]", "word")])
    assert b"".join(form.pieces()) == (
        b'--otari-0123456789\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
        b'--otari-0123456789\r\nContent-Disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
        b'--otari-0123456789\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\nRIFF\r\n--otari-0123456789--\r\n"
    )


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40).filter(
    lambda name: "%" not in name and "\\" not in name
)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(st.tuples(names, values), max_size=5), names, st.binary(max_size=5_000))
def test_what_goes_in_comes_out(fields: list[tuple[str, str]], name: str, data: bytes) -> None:
    form = written(fields, name, "audio/ogg; codecs=opus", data)
    assert form.size == sum(map(len, form.pieces()))
    *plain, (head, content) = read(form)
    assert [(part.name.replace("%22", '"'), value.decode()) for part, value in plain] == fields
    assert (head.name, head.filename, head.media_type, content) == ("file", name, "audio/ogg; codecs=opus", data)


def test_a_name_can_not_end_its_header() -> None:
    form = written([('a"\r\nX: y', "v")], 'b"; filename="c\r\n\r\nd.wav', "audio/wav\r\nX: y")
    field, file = read(form)
    assert field[0] == PartHead("a%22%0D%0AX: y")
    assert file[0] == PartHead("file", 'b"; filename="c%0D%0A%0D%0Ad.wav', "application/octet-stream")


def test_every_attempt_reads_the_file_anew() -> None:
    form = written([])
    assert list(form.pieces()) == list(form.pieces())
