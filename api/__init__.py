"""Spending: HTTP, prices, API keys. Everything it decides, it asks the ledger."""
