"""The edge: listeners, the Socket.IO server, the admin resources and the pages."""
