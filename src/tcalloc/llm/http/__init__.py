"""One request to a server: keys, proxies, the connection, another try, and what a reply means."""
