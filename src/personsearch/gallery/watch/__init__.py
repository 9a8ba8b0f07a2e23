"""From live streams to gallery crops: read, drop what is late, follow people, store each track when it ends."""
