"""Where credentials come from: the OS keyring, and Claude Code's own login."""
