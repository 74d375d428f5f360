"""Parts of ``Database``, each with one duty."""
