"""The store that many machines share: a Redis or Valkey server."""
