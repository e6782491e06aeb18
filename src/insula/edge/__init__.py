"""The edge: HTTP requests become messages, answers and refusals become HTTP, as pure decisions without a socket."""
