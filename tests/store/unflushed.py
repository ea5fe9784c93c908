"""The writer of a database that is gone when its test is: as in a gateway, but nobody waits for the disk.

A test waits longer for the disk than for all else that it does. What the disk is asked for is told by
`test_schema.py`; `test_crash.py` kills processes that flush.
"""

from otari.store.writer import Writer


class UnflushedWriter(Writer):
    """Group commit in its thread, without a flush."""

    flushes = False
