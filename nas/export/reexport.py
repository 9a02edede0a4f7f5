"""A folder that is there already, exported once more: in other forms, or to the Hugging Face Hub."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.export import folder, forms, images, loading, model_card, sample, summary
from nas.export.exported import Exported, pushed
from nas.util import output
from nas.util.errors import SettingError
from search_spaces.code import named as code_named

if TYPE_CHECKING:
    from nas.export.loading import LoadableNetwork
    from nas.export.settings import ExportSettings

# They make another network of a configuration; a folder's is what it is.
_FIXED = (
    "geometry",
    "trial",
    "pick",
    "config",
    "num_classes",
    "input_size",
    "in_chans",
    "match_macs",
    "weights",
)


def is_exported(source: str) -> bool:
    """Whether a user names a folder that ``nas.export`` or ``nas.train`` wrote."""
    return (Path(source).expanduser() / folder.CONFIG).is_file()


def export(settings: ExportSettings) -> Exported:
    """Copies the folder with its weights, beside them the forms that are asked for, and uploads it if asked.

    Raises:
        UserError: If anything about it is wrong; nothing is written then, unless only the push fails.
    """
    for field in fields(settings):
        if field.name in _FIXED and getattr(settings, field.name) is not None:
            value = getattr(settings, field.name)
            raise SettingError(field.name, value, f"{settings.source} holds a network as it is; leave it out")
    named = loading.find(settings.source, settings.space)
    assert named.path is not None
    from nas.data import transforms  # loads PyTorch: what is refused was refused before

    output.doing("building the network and reading its weights")
    model = named.create(weights=True).eval()
    data_config = forms.data_config(model, named.pretrained_cfg)
    channels, height, width = data_config["input_size"]
    shape = (int(channels), int(height), int(width))
    pictures = _sample(settings, named, data_config) if settings.int8 else None
    ghost = copy.deepcopy(model).to("meta")
    rows = summary.rows(ghost, dict(ghost.named_children()), shape[1], shape[0])
    own = summary.measured(settings.output.name, ghost, shape[1], shape[0])
    with folder.appearing(settings.output) as staging:
        written = forms.write(staging, model, shape, settings, pictures)
        config = _described(named, settings, written)
        (staging / folder.CONFIG).write_text(json.dumps(config, indent=2))
        shutil.copyfile(named.path / folder.WEIGHTS, staging / folder.WEIGHTS)
        for path in (named.path / folder.RECIPE, *([] if named.beside is None else [named.beside])):
            if path.is_file():
                shutil.copyfile(path, staging / path.name)
        card = named.path / folder.CARD
        text = card.read_text() if card.is_file() else ""
        of_forms = model_card.forms(written, transforms.normalisation(data_config))
        text = model_card.updated(text, named.timm_module, named.code, settings.push_to_hub, of_forms)
        (staging / folder.CARD).write_text(model_card.licensed(text, settings.license))
    say = None if named.code is None else code_named(named.code, str(settings.output))
    note = f"the network of {named.path}, with its weights"
    return Exported(
        rows, [own, *summary.nearest(own)], written, note, space=say, url=pushed(settings), again=True
    )


def _described(named: LoadableNetwork, settings: ExportSettings, written: list[forms.Form]) -> dict[str, Any]:
    """What config.json says of the copy."""
    own = {key: value for key, value in named.own.items() if key != folder.FORMS}
    if written:
        own[folder.FORMS] = {form.file: form.to_json() for form in written}
    cfg = named.pretrained_cfg
    if settings.license is not None:
        cfg["license"] = settings.license
    return {**named.config, folder.OWN_KEY: own, "pretrained_cfg": cfg}


def _sample(settings: ExportSettings, named: LoadableNetwork, data_config: dict[str, Any]) -> sample.Sample:
    """Images to calibrate an 8-bit form on: what the network was trained on, or what the user names."""
    if not named.trained:
        raise sample.refuse_untrained()
    held_out = named.training.held_out
    spec = settings.data or (None if held_out is None else held_out.data)
    if spec is None:
        raise sample.required()
    classes = named.num_classes or 0
    run = images.run_of(spec)
    if named.training.by_search and run is not None:
        return sample.of_run(run, settings.data_dir, data_config, named.class_names)
    return sample.of_data(spec, settings.data_dir, data_config, named.class_names, classes, held_out)
