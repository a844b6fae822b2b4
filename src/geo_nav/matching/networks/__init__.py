"""The learned networks: what each is (a file a network), and the two runtimes that run any of them."""

from geo_nav.matching.networks.loading import load_network
from geo_nav.matching.networks.network import LoadedNetwork, Network, NetworkInput

__all__ = ["LoadedNetwork", "Network", "NetworkInput", "load_network"]
