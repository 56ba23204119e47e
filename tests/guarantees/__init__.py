"""One test module per promise; each first shows the promise broken."""
