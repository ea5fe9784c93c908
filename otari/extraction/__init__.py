"""Documents to text, each in a process of its own (`worker.py`), which `reader.py` starts and bounds."""
