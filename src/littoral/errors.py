"""The errors littoral raises on purpose: one sentence each, saying what was expected, what came and what to do.

The command line prints the sentence and exits with the kind's `exit_code`; everything else is a fault of ours and
exits with 1.
"""


class LittoralError(Exception):
    """Base of every error that littoral raises on purpose."""

    exit_code = 1


class InputError(LittoralError, ValueError):
    """Data, an option or an argument that cannot be used as given."""

    exit_code = 2


class ImageError(InputError):
    """One image that cannot be read; callers that handle many images list it and go on."""


class ShapeError(InputError):
    """A tensor or image whose shape does not fit the model."""


class ModelFileError(InputError):
    """A file that is not a whole, unchanged littoral model file of a format this version reads."""


class TrainingError(LittoralError):
    """A training run that cannot go on, such as one whose loss is no longer finite."""


class ExportError(LittoralError):
    """A model that cannot be written for other runtimes, or whose exported form does not agree with it."""
