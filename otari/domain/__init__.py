"""Words and rules of the gateway. Standard library only; nothing here awaits, opens a socket or reads a file."""
