"""A provider on loopback whose behaviour is steered by the model name, for tests.

In a test: `async with ScriptedProvider() as provider: …`. As a process of its own: `python -m tests.scripted`.
"""

from tests.scripted.arrival import Arrival
from tests.scripted.given import Given
from tests.scripted.provider import ScriptedProvider
from tests.scripted.script import Script

__all__ = ["Arrival", "Given", "Script", "ScriptedProvider"]
