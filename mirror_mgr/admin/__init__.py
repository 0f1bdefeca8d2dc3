"""What commands do: pools, peers, images, status; through python-rbd."""
