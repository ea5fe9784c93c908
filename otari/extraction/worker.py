"""The process that reads one document and ends: bytes come in on standard input, pieces go out on standard output.

It is given little memory and little time, and takes itself down when it has used them. What comes out begins with "+"
and are the pieces, or with "-" and is what is wrong with the document.
"""

import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence

from otari.domain.documents import Piece, Unreadable
from otari.extraction import sheet, slides, word
from otari.extraction.archive import Archive
from otari.extraction.markup import html_text
from otari.extraction.pieces import write_pieces

MEMORY_MAX_BYTES = 512 * 1024 * 1024
START_S = 1.5  # of processor time; a PDF is granted more for its pages and pictures
_NICE = 5

Reading = Callable[[bytes], Sequence[Piece]]


def main(kind: str) -> None:
    """Read one document of this kind."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    logging.disable(logging.CRITICAL)  # a library's complaints about the document help nobody
    data = sys.stdin.buffer.read()
    read = reading(kind)
    signal.setitimer(signal.ITIMER_PROF, START_S)  # nobody catches its signal: it ends the process
    sys.stdout.buffer.write(answer(read, data))
    sys.stdout.buffer.flush()
    os._exit(0)  # nothing is left to be put away, and some documents make that slow


def reading(kind: str) -> Reading:
    """What reads documents of this kind."""
    match kind:
        case "pdf":
            from otari.extraction.pdf import pdf_pieces  # with it comes a library that nothing else needs

            return lambda data: pdf_pieces(data, _more_time)
        case "office":
            return lambda data: [_office_text(Archive(data))]
        case _:
            return lambda data: [html_text(data)]


def answer(read: Reading, data: bytes) -> bytes:
    """What goes out for a document."""
    try:
        return b"+" + write_pieces(read(data))
    except Unreadable as error:
        return b"-" + str(error).encode()
    except MemoryError:
        return b"-needs too much memory to be read"
    except Exception:  # whatever a library makes of a damaged document
        return b"-is damaged"


def _office_text(archive: Archive) -> str:
    for main_part, read in (
        (word.MAIN, word.word_text),
        (sheet.MAIN, sheet.sheet_text),
        (slides.MAIN, slides.slides_text),
    ):
        if main_part in archive:
            return read(archive)
    raise Unreadable("is an archive, and neither a .docx nor an .xlsx nor a .pptx")


def _more_time(seconds: float) -> None:
    left, _ = signal.getitimer(signal.ITIMER_PROF)
    signal.setitimer(signal.ITIMER_PROF, left + seconds)
