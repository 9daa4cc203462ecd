"""What only the course knows: chapters, profiles, sessions, exercise checks, editions, the runner."""
