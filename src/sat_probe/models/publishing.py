"""Publication of models on the Hub: weights, feature extractor and card in one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCardData
from transformers import AutoConfig

from sat_probe.errors import ModelError
from sat_probe.hub.cards import render_card
from sat_probe.hub.commit import Published, publish_folder
from sat_probe.models.families.table import family_of
from sat_probe.models.mockingjay import MockingjayModel
from sat_probe.models.mockingjay.code_export import add_code, save_with_code
from sat_probe.models.pruning import pruned_heads
from sat_probe.models.refined import SPAN, SPAN_MODE

if TYPE_CHECKING:
    from transformers import PreTrainedModel as _Base
else:
    _Base = object


PUBLISHED = frozenset({".json", ".safetensors", ".md", ".txt", ".py", ".csv", ".png", ".svg", ".yaml", ".jsonl"})


class PublishedModel(_Base):
    """Mixin over a model of transformers: `push_to_hub` in one atomic commit, with a card."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        create_pr: bool = False,
        commit_message: str | None = None,
        token: str | bool | None = None,
        license: str | None = None,
        facts: Mapping[str, object] | None = None,
        **options: Any,
    ) -> Published:
        """Publish the model as a repository that `AutoProbedModel.from_pretrained` loads.

        A Mockingjay is published with its code, so transformers alone can load it with `trust_remote_code=True`.

        Args:
            repo_id: model repository, "owner/name"; made if it does not exist.
            private: whether a new repository is private; None leaves it to the owner's settings.
            create_pr: open a pull request instead of committing to `main`.
            commit_message: title of the commit or pull request.
            token: to use instead of the one of `hf auth login` or HF_TOKEN.
            license: of the weights, as the Hub names it ("apache-2.0"): that of the model it was made from.
            facts: further rows of the card's table, such as scores before and after.
            **options: of `save_pretrained`.

        Raises:
            HubError: no token, no permission, or the Hub cannot be reached.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            self.save_pretrained(folder, **options)
            with_code = self.config.model_type == "mockingjay" and not _changes(self.config)
            if with_code:
                _add_code(folder, self.preprocessor)
            card = model_card(self.config, repo_id, with_code, license, facts or {})
            (folder / "README.md").write_text(card, encoding="utf-8")
            message = commit_message or f"Upload {type(self).__name__}"
            return publish_folder(folder, repo_id, "model", message, private, create_pr, token)


def push_model_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
) -> Published:
    """Publish a saved model as it is, with a card if the folder has none; a Mockingjay with its code.

    Other files of training (optimizer, random states, logs, checkpoints in sub-folders) are not published.

    Raises:
        ModelError: if the folder has no configuration or no safetensors.
        HubError: no token, no permission, or the Hub cannot be reached.
    """
    source = Path(folder)
    if not (source / "config.json").is_file() or not list(source.glob("*.safetensors")):
        raise ModelError(f"{folder}: not a saved model (config.json and model.safetensors are needed)")
    with tempfile.TemporaryDirectory() as scratch:
        for path in source.iterdir():
            if path.is_file() and path.suffix in PUBLISHED:
                (Path(scratch) / path.name).symlink_to(path.resolve())
        config = _saved_config(source)
        with_code = bool(getattr(config, "auto_map", None))
        if config.model_type == "mockingjay" and not with_code and not _changes(config):
            add_code(source, scratch)
            with_code = True
        if not (source / "README.md").is_file():
            card = model_card(config, repo_id, with_code)
            (Path(scratch) / "README.md").write_text(card, encoding="utf-8")
        message = f"Upload {source.resolve().name}"
        return publish_folder(Path(scratch), repo_id, "model", message, private, create_pr, token)


def model_card(
    config: Any, repo_id: str, with_code: bool, license: str | None = None, facts: Mapping[str, object] | None = None
) -> str:
    """Return the card of a model: its shape, its changes and how to load it; Markdown with Hub metadata.

    Args:
        with_code: whether the repository has the code of its architecture.
    """
    base = str(config._name_or_path or "")
    base_model = base if base.count("/") == 1 and not Path(base).exists() else None
    changes, own = _changes(config), config.model_type == "mockingjay"
    data = ModelCardData(
        license=license,
        library_name="sat-probe" if changes else "transformers",
        base_model=base_model,
        tags=["sat-probe", "speech", "audio", config.model_type],
        pipeline_tag="feature-extraction",
    )
    family = family_of(config.model_type)
    shape = {
        "family": config.model_type,
        "layers": getattr(config, family.layers),
        "heads per layer": getattr(config, family.heads),
        "hidden size": config.hidden_size,
    }
    return render_card(
        "probed_model",
        data,
        title=repo_id.split("/")[-1],
        repo_id=repo_id,
        base_model=base_model,
        changed=bool(changes),
        native=not own and not changes,
        with_code=with_code,
        facts={**shape, **changes, **(facts or {})},
    )


def _changes(config: Any) -> dict[str, object]:
    """Return the permanent changes of the attention, as the configuration lists them; empty for an intact model."""
    changes: dict[str, object] = {}
    if removed := pruned_heads(config):
        heads = [f"{layer}.{head}" for layer in sorted(removed) for head in sorted(removed[layer])]
        changes["removed heads (layer.head, from 0)"] = ", ".join(heads)
    if getattr(config, SPAN, None) is not None:
        span, mode = getattr(config, SPAN), getattr(config, SPAN_MODE, None)
        changes["span of attention"] = f"{span} frames to each side, mode {mode}"
    return changes


def _saved_config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: config.json cannot be read ({' '.join(str(error).split())[:150]})") from error


def _add_code(folder: Path, feature_extractor: Any) -> None:
    """Add its modelling code to a saved Mockingjay."""
    save_with_code(MockingjayModel.from_pretrained(folder), feature_extractor, folder)
