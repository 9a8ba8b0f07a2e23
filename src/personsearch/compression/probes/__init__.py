"""The parts of the stage `probe`: towers taken apart, one walk over the data for many probes, figures, report."""
