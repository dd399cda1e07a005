"""The models that have a name: what is published of them, and how they come onto this machine."""
