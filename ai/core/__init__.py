"""The vocabulary both sides of the switch speak. numpy, OpenCV and simplejpeg only: no torch, no web."""
