"""From a mirrored image of the other site to its copy here."""
