"""The service as an ASGI app, for demonstrations and for tests of what is built on this library."""
