"""What training adds to its samples: image operations, text edits, generated pairs."""
