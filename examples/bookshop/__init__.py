"""A shop on FastAPI, SQLAlchemy and Celery that takes up Insula a step at a time: docs/tutorials/adoption.md."""
