"""The stores that replicas can agree in: this process, one SQLite file, a Redis."""
