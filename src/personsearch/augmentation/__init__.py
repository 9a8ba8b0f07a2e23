"""What a training sample may become: image pool, text edits, generated pairs."""
