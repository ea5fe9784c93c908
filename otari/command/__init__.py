"""The account commands: `otari.pyz keys|users|budgets|prices|usage …`, on the ledger's file or over a gateway."""
