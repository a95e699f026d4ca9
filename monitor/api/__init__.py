"""The API of Anthropic: its wire format (pure) and the client that speaks it."""
