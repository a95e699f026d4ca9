"""Where credentials come from: the OS keyring, Claude Code's own logins, systemd, or a program of the user's."""
