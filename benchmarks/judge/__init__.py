"""An outside judge: Triton's own perf_analyzer drives the same Triton as our generator, in turns."""
