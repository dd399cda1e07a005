"""What runs in the environments of peers: these files import nothing of the worker."""
