"""The core that every door shares: one job in, one outcome out."""
