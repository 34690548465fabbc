"""Named corpora: what a file of `hub_configs/datasets/` says about one."""

from __future__ import annotations

from dataclasses import dataclass, field

from sat_probe.configs import available_configs, load_config
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.layouts import Layout
from sat_probe.phones.phone_set import phone_set


@dataclass(frozen=True, slots=True)
class HubTable:
    """A dataset on the Hugging Face Hub.

    Args:
        repository: "organisation/name", or a local folder of the same files.
        configuration: its subset; the only one by default.
        revision: commit, branch or tag.
        splits: our split -> the repository's; those not named are called the same.
        columns: our column ("id", "audio", "text", "speaker", "gender", "phones", "phone") -> the repository's.
        default_split: what is loaded if no split is asked for.
    """

    repository: str
    configuration: str | None = None
    revision: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    default_split: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetConfig:
    """One named corpus.

    Args:
        description: one line.
        license: of the corpus.
        homepage: where to get it.
        phone_set: the set its labels fold into.
        layout: how it lies on disk.
        packaged: its folder below the installed package, if it comes with it.
        splits: split -> folder below the corpus; a split not named is the folder of that name.
        gaps: what unlabelled time between two segments means; None for what suits the format.
        hub: where to stream or download it from, if it may be.
        alignments: a table on the Hub that has its alignments.
    """

    description: str
    license: str
    homepage: str
    phone_set: str
    layout: Layout
    packaged: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    gaps: Gaps | None = None
    hub: HubTable | None = None
    alignments: HubTable | None = None

    def __post_init__(self) -> None:
        phone_set(self.phone_set)

    def folder_of(self, split: str | None) -> str | None:
        """The folder of a split, by our name or by the folder's own."""
        return None if split is None else self.splits.get(split, split)


def find_config(name: str) -> DatasetConfig | None:
    """The configuration of a named corpus or of a YAML file of one's own; None for any other name.

    Raises:
        ConfigurationError: if the file does not fit the schema.
    """
    if name in available_configs("datasets") or name.endswith((".yaml", ".yml")):
        return load_config("datasets", name, DatasetConfig)
    return None
