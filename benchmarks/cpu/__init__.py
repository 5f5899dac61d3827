"""The legacy service and Triton on a processor: tracks A to D, on each engine and precision, in turns."""
