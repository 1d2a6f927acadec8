"""The proxy that the environment names for a URL."""

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tcalloc.errors import InputError
from tcalloc.llm.http.keys import is_loopback

__all__ = ["proxy_for"]


def proxy_for(url: str) -> str | None:
    """Return the proxy's URL by http_proxy, https_proxy, all_proxy and no_proxy; None for this machine.

    Raises
    ------
    InputError
        If the proxy is of another kind than http and https.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]) or _within(host, proxies.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = "http://" + proxy
    kind = urlsplit(proxy).scheme.lower()
    if kind not in ("http", "https"):
        raise InputError(
            f"the environment names a {kind} proxy for {host}; only http and https proxies are used. Set {parts.scheme}"
            f"_proxy to one, or list the host in no_proxy."
        )
    return proxy


def _within(host: str, excepted: str) -> bool:
    """Say whether an address lies in one of the networks (10.0.0.0/8) that no_proxy lists."""
    for entry in excepted.split(","):
        try:
            if "/" in entry and ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:  # a name, not an address
            continue
    return False
