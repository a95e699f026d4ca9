"""The terminal table: pure pictures of the state, and the one program that touches the tty."""
