"""The process's surroundings: descriptors, signals, children, system libraries. Knows no job."""
