"""Synthetic pedestrians: identities, their pictures under several cameras, captions, footage."""
