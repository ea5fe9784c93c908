"""Batches: many requests that are carried out when there is time, by the same way as every other request."""
