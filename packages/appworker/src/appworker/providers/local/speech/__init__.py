"""Speech, by espeak-ng."""
