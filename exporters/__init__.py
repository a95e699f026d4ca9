"""Views of one state for other programs: Prometheus text, one JSON document, and the site that serves them."""
