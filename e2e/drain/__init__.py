"""A rolling update of the rendered pods under load: processes, sockets, and time made shorter."""
