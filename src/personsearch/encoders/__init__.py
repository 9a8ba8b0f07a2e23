"""Encoders: from pictures and words to vectors of one space, on torch, ONNX Runtime or OpenVINO."""
