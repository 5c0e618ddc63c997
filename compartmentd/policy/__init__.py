"""The decision core: frozen values in, a decision with its reasons out. No I/O, clock, loop or logging."""
