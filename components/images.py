"""The container images that components name; `personsearch pipeline submit --registry` puts a registry before them."""

TRAINING_IMAGE = "personsearch-training:0.1.0"
PLATFORM_IMAGE = "personsearch-platform:0.1.0"
