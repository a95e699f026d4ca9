"""A simulated API on loopback: behind `--demo`, and in the tests."""
