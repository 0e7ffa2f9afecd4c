"""Every error that Glissando raises on purpose.

    GlissandoError
    ├── InputError (ValueError)       an argument or a picture that cannot be used
    │   ├── PictureError              a picture file that cannot be read, written or carried
    │   └── TargetError               a size or a score that no file of this picture has
    ├── FormatError (ValueError)      bytes that are not a valid file of ours
    │   ├── SignatureError            not a Glissando file at all
    │   ├── VersionError              made by a newer format than this reader knows
    │   ├── UnsupportedError          a valid file with pixels that cannot be decoded yet
    │   ├── TruncatedError            the file ends too early
    │   ├── CorruptError              a checksum or a value that cannot be right
    │   └── LimitError                larger than the caller allows
    ├── ModelError                    a model that cannot be used
    │   ├── UnknownModelError         no model of that name, or of the file's hash, is installed
    │   ├── ModelMismatchError        the model's files are not the ones their card describes
    │   └── BackendError              no inference engine, or one that failed
    ├── BatchError                    a batch that cannot begin or go on
    ├── TrainingError                 a recipe, a checkpoint or a data set that cannot be used
    │   └── RecipeError (ValueError)  an unknown or impossible key in a recipe
    ├── BenchmarkError                a comparison that cannot be run, or results that cannot be read
    │   └── CodecUnavailableError     a codec or a metric of a comparison that is not installed
    └── ServiceError                  a request that the service could not do, though nothing is wrong with it
        ├── OverloadedError           more is waiting already than the service holds
        ├── TimeLimitError            it took longer than the service allows
        └── WorkerError               the process that worked on it died

``except GlissandoError`` catches all of them and nothing else. Beside them there are two warnings: ``ModelWarning``,
for an installed model that is passed over, and ``PictureWarning``, for what a picture loses where a library has no
place for notes.
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "BatchError",
    "BenchmarkError",
    "CodecUnavailableError",
    "CorruptError",
    "FormatError",
    "GlissandoError",
    "InputError",
    "LimitError",
    "ModelError",
    "ModelMismatchError",
    "ModelWarning",
    "OverloadedError",
    "PictureError",
    "PictureWarning",
    "RecipeError",
    "ServiceError",
    "SignatureError",
    "TargetError",
    "TimeLimitError",
    "TrainingError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "VersionError",
    "WorkerError",
]


class GlissandoError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(GlissandoError, ValueError):
    """An argument or a picture that cannot be used."""


class PictureError(InputError):
    """A picture file that cannot be read, written or carried."""


class TargetError(InputError):
    """A size or a score that no file of this picture has, at any quality."""


class FormatError(GlissandoError, ValueError):
    """Bytes that are not a valid file of this package: .gliss, or .glissa for arrays."""


class SignatureError(FormatError):
    """Not a Glissando file at all."""


class VersionError(FormatError):
    """Made by a newer version of the format than this reader knows."""


class UnsupportedError(FormatError):
    """A valid file whose header asks for what this package cannot decode yet, such as samples of fewer than 8 bits."""


class TruncatedError(FormatError):
    """The file ends before the data that it declares."""


class CorruptError(FormatError):
    """A checksum that does not agree, or a value that cannot be right."""


class LimitError(FormatError):
    """The file declares more than the caller allows."""


class ModelError(GlissandoError):
    """A model that cannot be used."""


class UnknownModelError(ModelError):
    """No model of that name, or with the hash that a file names, is installed."""


class ModelMismatchError(ModelError):
    """A model's files are not the ones that its card describes."""


class BackendError(ModelError):
    """No inference engine is installed, or the one in use failed."""


class BatchError(GlissandoError):
    """A batch that cannot begin, or that cannot go on whatever the next picture is."""


class TrainingError(GlissandoError):
    """A checkpoint or a data set that cannot be used for training."""


class RecipeError(TrainingError, ValueError):
    """An unknown key or an impossible value in a training recipe."""


class BenchmarkError(GlissandoError):
    """A comparison cannot be run as asked, or its results cannot be read."""


class CodecUnavailableError(BenchmarkError):
    """A codec or a metric that takes part in comparisons is not installed here."""


class ServiceError(GlissandoError):
    """A request that the service could not do, although nothing is wrong with it."""


class OverloadedError(ServiceError):
    """More requests, or more of their bytes, are waiting already than the service holds."""


class TimeLimitError(ServiceError):
    """A request took longer than the service allows."""


class WorkerError(ServiceError):
    """The process that worked on a request died."""


class ModelWarning(UserWarning):
    """An installed model that is passed over, because its card cannot be read."""


class PictureWarning(UserWarning):
    """Something of a picture that is left out or changed: what notes tell elsewhere."""


def explain(error: BaseException, *, hint: str = "please report it") -> str:
    """An error as one line that a user can act on; ``hint`` is added to those that nobody expects."""
    text = " ".join(str(error).split())
    if isinstance(error, GlissandoError):
        return text or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"unexpected {type(error).__name__}{': ' if text else ''}{text} ({hint})"
