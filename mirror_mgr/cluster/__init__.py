"""The only I/O with rados and rbd: connections, asynchronous calls, cls methods."""
