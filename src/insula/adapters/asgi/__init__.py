"""The system as an ASGI application, and the server that carries it."""
