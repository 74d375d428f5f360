"""Video, encoded by PyAV."""
