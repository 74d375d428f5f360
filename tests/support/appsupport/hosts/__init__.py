"""Host processes of the tests, and tasks as seen from outside of them."""
