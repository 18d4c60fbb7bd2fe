"""What all of the project's data sets share: two texts, `source` and `target`."""

import tensorflow_datasets as tfds


def text_pairs(
    builder: tfds.core.DatasetBuilder, description: str
) -> tfds.core.DatasetInfo:
    """The TFDS description of a data set of pairs of texts."""
    # Not `dataset_info_from_configs`, which looks for files beside the module.
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(
            {"source": tfds.features.Text(), "target": tfds.features.Text()}
        ),
        supervised_keys=("source", "target"),
    )
