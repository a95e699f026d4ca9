"""One file per way to be told of an alert."""
