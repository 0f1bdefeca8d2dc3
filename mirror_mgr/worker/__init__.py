"""The replay process: start-up, pools, images, locks, status."""
