"""The benchmark's workings: processes, load, scenarios, report. `run.py` is the way in."""
