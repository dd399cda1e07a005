"""Lists, shows, replays and purges dead letters."""
