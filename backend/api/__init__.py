"""The backend's HTTP face."""
