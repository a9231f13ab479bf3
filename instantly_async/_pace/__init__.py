"""When it may go: limiter, backoff, retry budget, circuit breaker."""
