"""Written dates to ISO 8601, made with Babel's formats of many languages."""

import datetime
import random
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from seq2seq_jax.data.builders.info import text_pairs
from seq2seq_jax.errors import InputError

# Two digits of a year say which, as all dates are in one window of a hundred years.
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)
# Each language's own formats, by name, and others that name the month or write the year
# first. None writes the month as a number in an order that the language does not use.
NAMED = ("short", "short", "medium", "long", "full")
MONTH_FIRST = ("MMM d, y", "MMMM d, y", "MMMM d y", "EEEE MMMM d y")
DAY_FIRST = ("d MMM y", "d MMMM y", "d MMMM, y", "d. MMMM y", "EEE d MMM y")
FORMATS = (*NAMED, *MONTH_FIRST, *DAY_FIRST, "EEEE, d MMMM y", "y-MM-dd")
AMERICAN = (*FORMATS, "M/d/y", "MM/dd/y", "MM/dd/yy")  # its order, in other ways too
# All write the day before the month, or the year first: British rather than American
# English, so that a date in figures has one meaning whatever its language.
LOCALES = (
    *("en_GB", "de", "fr", "es", "it", "pt", "nl"),
    *("sv", "pl", "cs", "tr", "fi", "el", "ru"),
)


def write(date: datetime.date, pattern: str, locale: str) -> str:
    """A date in a format of Babel's, by name or pattern.

    Raises:
        InputError: if Babel is not installed.
    """
    try:
        from babel.dates import format_date
    except ImportError:
        raise InputError(
            'the data set dates needs a package: pip install "seq2seq-jax[dates]"'
        ) from None
    return format_date(date, pattern, locale)


def written_dates(
    name: str, locales: tuple[str, ...], sizes: dict[str, int]
) -> Iterator[tuple[str, str, str]]:
    """Draw `(split, written date, ISO date)`; no written date comes twice.

    Half of them are in lower case.
    """
    draw = random.Random(f"dates {name} 1.0.0")
    days = (LAST - FIRST).days + 1
    seen = set()
    for split, size in sizes.items():
        made = 0
        while made < size:
            date = FIRST + datetime.timedelta(draw.randrange(days))
            locale = draw.choice(locales)
            formats = AMERICAN if locale == "en_US" else FORMATS
            text = write(date, draw.choice(formats), locale)
            text = text.lower() if draw.random() < 0.5 else text
            if text not in seen:
                seen.add(text)
                made += 1
                yield split, text, date.isoformat()


class DatesConfig(tfds.core.BuilderConfig):
    """Languages, and how many pairs each split has."""

    def __init__(
        self,
        name: str,
        description: str,
        locales: tuple[str, ...],
        sizes: tuple[int, int, int],
    ) -> None:
        """Sizes are of test, validation and train."""
        super().__init__(name=name, description=description)
        self.locales = locales
        self.sizes = dict(zip(("test", "validation", "train"), sizes, strict=True))


class Dates(tfds.core.GeneratorBasedBuilder):
    """Dates of 1950 to 2049 as people write them, and in ISO 8601.

    What is drawn is fixed; how it is written is up to the version of Babel.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012, the name is TFDS's
        DatesConfig("en", "American English.", ("en_US",), (2_000, 1_000, 10_000)),
        DatesConfig("multi", "14 languages.", LOCALES, (2_000, 1_000, 40_000)),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return text_pairs(self, "Written dates and the same in ISO 8601.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        config = self.builder_config
        pairs: dict[str, dict[str, str]] = {split: {} for split in config.sizes}
        for split, source, target in written_dates(
            config.name, config.locales, config.sizes
        ):
            pairs[split][source] = target
        return {split: self._generate_examples(pairs[split]) for split in pairs}

    def _generate_examples(self, pairs: dict[str, str]) -> Any:
        for source, target in pairs.items():
            yield source, {"source": source, "target": target}
