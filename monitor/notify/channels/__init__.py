"""One file per way to send an alert."""
