"""Random administrators at two sites that mirror both ways, and a model of what must hold."""
