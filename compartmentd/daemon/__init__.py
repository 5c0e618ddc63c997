"""The composition root: builds everything, starts it, talks to the service manager, and ends it in order."""
