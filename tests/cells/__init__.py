"""The cells: every dialect that clients speak times every dialect that providers speak, each proved by itself."""
