"""The encoder that generated pairs must convince."""

from personsearch.augmentation.augment import AugmentConfig
from personsearch.augmentation.pdg.consistency import Judge
from personsearch.bundle import fingerprint
from personsearch.evaluation.load_encoder import load_encoder


def judge_of(config: AugmentConfig) -> Judge | None:
    """The model bundle that `proximity.judge` names, loaded; None where it names none.

    Raises:
        UserError: it is no bundle.
    """
    if config.proximity is None or config.proximity.judge is None:
        return None
    bundle = config.proximity.judge
    return Judge(load_encoder(bundle), fingerprint(bundle))
