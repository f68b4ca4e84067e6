"""What a client reports: events, log records, spans, counters."""
