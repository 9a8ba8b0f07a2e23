"""From a video to gallery crops: read, detect people, track them, keep the best crops of each track."""
