"""The FastAPI factory that both legacy services are made with."""
