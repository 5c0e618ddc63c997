"""The admin listeners: health, reload, status, tokens, live decisions, and in development the playground."""

from compartmentd.http.admin.interface import Administration, Development, MetricsSource
from compartmentd.http.admin.server import AdminServer

__all__ = ["AdminServer", "Administration", "Development", "MetricsSource"]
