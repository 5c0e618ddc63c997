"""The admin listeners: health, reload, status, tokens, live decisions, and in development the playground."""

from compartmentd.server.admin.administration import (
    Administration,
    Development,
    Record,
    Refused,
    RevokeRequest,
    Subscriber,
)
from compartmentd.server.admin.application import AdminServer

__all__ = ["AdminServer", "Administration", "Development", "Record", "Refused", "RevokeRequest", "Subscriber"]
