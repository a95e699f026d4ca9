"""Accounts: their credentials, importing, adding, editing, and following Claude Code's renewals."""
