"""Looks an installation over for `personsearch doctor`: changes nothing, and says what to do about what is wrong."""
