"""Health and metrics of a worker process, and the HTTP server that tells them."""
