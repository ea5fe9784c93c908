"""Every SQL statement of the product: the embedded database and the tables behind it."""
