"""The container images of the components; `personsearch runs submit --registry` prefixes them with a registry."""

TRAINING_IMAGE = "personsearch-training:0.1.0"
PLATFORM_IMAGE = "personsearch-platform:0.1.0"
