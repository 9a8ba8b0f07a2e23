"""From an architecture's `adaptation` section to its modules."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from personsearch.config import describe_validation_error
from personsearch.errors import UserError
from personsearch.models.adaptation.base import Adaptation
from personsearch.models.adaptation.clip_adapter import ClipAdapter, ClipAdapterConfig
from personsearch.models.adaptation.coop import Coop, CoopConfig
from personsearch.models.adaptation.cskt import Cskt, CsktConfig
from personsearch.models.adaptation.lora import Lora, LoraConfig

AdaptationConfig = Annotated[CsktConfig | LoraConfig | CoopConfig | ClipAdapterConfig, Field(discriminator="kind")]
_CONFIGS: TypeAdapter[AdaptationConfig] = TypeAdapter(AdaptationConfig)


def make_adaptation(section: Mapping[str, Any], clip: Any) -> Adaptation:
    """The untrained adaptation that `section` describes ({kind: cskt | lora | coop | clip_adapter, …}) of a CLIP.

    Raises:
        UserError: the section is wrong, or does not suit the model's towers.
    """
    try:
        config = _CONFIGS.validate_python(dict(section))
    except ValidationError as error:
        raise UserError(f"model.adaptation: {describe_validation_error(error, AdaptationConfig)}") from error
    match config:
        case CsktConfig():
            return Cskt(config, clip)
        case LoraConfig():
            return Lora(config, clip)
        case CoopConfig():
            return Coop(config, clip)
        case ClipAdapterConfig():
            return ClipAdapter(config, clip)
