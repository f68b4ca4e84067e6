"""One HTTP exchange, and the limiter as an httpx transport."""
