"""What the routes of Otari's own shape answer, told as types: the reference is written from them.

`store/records.py` makes the documents; nothing is decoded into these types. Tests hold real answers of every route
against the served document, so the two can not part.
"""
