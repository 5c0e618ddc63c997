"""What is connected and what should happen: state without I/O, clock or loop.

The hub is the application that the Socket.IO server serves. It reads time through the clock it was given, asks
`policy.decide` and `policy.reconcile`, and hands messages to the peers it was given.
"""
