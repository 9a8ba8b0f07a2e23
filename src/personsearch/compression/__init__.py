"""ONNX export, quantisation and the choice among the variants."""
