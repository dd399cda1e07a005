"""What `health` leaves to the command proper, and its defaults."""

from __future__ import annotations
