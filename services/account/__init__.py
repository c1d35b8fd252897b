"""Accounts: who a person is to the app, until they leave."""
