"""Synthetic pedestrians: identities, their images under several cameras, captions, footage."""
