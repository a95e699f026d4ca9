"""One process of a user polls, all others watch it: the lock that says which, and the socket between them."""
