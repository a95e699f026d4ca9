"""The composition root: builds every part once, runs them in one TaskGroup, and takes them down in order."""
