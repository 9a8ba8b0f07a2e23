"""Many trainings that answer one question: ablations, few-shot comparisons, transfer between data sets."""
