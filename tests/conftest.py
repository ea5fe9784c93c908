"""For all tests: laws are tried with as many examples as hypothesis finds fit, by night with many more.

A CI job is known by its variable, and the stub refuses to record there. Tests behave the same wherever they run: those
that are about such a job set the variable themselves.
"""

import gc
import logging
import os

from hypothesis import settings

from otari.domain.redaction import LogFilter

settings.register_profile("nightly", max_examples=1_000, deadline=None)
os.environ.pop("CI", None)

# What collecting makes (modules, thousands of tests) stays until the end. Looking through it for garbage again and
# again, while it is made and in every test after that, would take longer than many of the tests.
gc.disable()


def pytest_collection_finish() -> None:
    """Whatever there is now is never looked at again; garbage of the tests is found as usual."""
    gc.freeze()
    gc.enable()


def pytest_runtest_teardown() -> None:
    """A gateway cleans the log until its process ends. Here the process goes on: the next test gets its log as it is,
    neither slowed down by those before nor clean because of what they knew.
    """
    for handler in logging.getLogger().handlers:
        for each in [each for each in handler.filters if isinstance(each, LogFilter)]:
            handler.removeFilter(each)
