"""The parts of mozcodec.forensics."""
