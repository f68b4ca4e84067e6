"""Log records as one line of JSON each, for the log collector of a cluster; ``logs.json`` uses this formatter."""

import json
import logging

STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Writes the time, level, logger, message and every member that was passed as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        members: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        members |= {name: value for name, value in vars(record).items() if name not in STANDARD}
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, default=str)
