"""Who decides and who accounts: the control planes."""
