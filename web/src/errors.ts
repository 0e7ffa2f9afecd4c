/**
 * The errors that a decoder raises on purpose, under the names that `glissando.errors` gives them in Python.
 *
 *     GlissandoError
 *     ├── InputError                an argument that cannot be used
 *     ├── FormatError               bytes that are not a valid file
 *     │   ├── SignatureError        not a Glissando file at all
 *     │   ├── VersionError          made by a newer format than this reader knows
 *     │   ├── UnsupportedError      a valid file that this package cannot decode
 *     │   ├── TruncatedError        the file ends too early
 *     │   ├── CorruptError          a checksum or a value that cannot be right
 *     │   └── LimitError            larger than the caller allows
 *     └── ModelError                a model that cannot be used
 *         ├── UnknownModelError     no model with the file's hash can be found
 *         ├── ModelMismatchError    the model's files are not the ones that their card describes
 *         └── BackendError          no inference engine, or one that failed
 */

/** Base of every error that this package raises on purpose. `name` is the name of the class. */
export class GlissandoError extends Error {
  override readonly name: string = "GlissandoError";
}

export class InputError extends GlissandoError {
  override readonly name: string = "InputError";
}

export class FormatError extends GlissandoError {
  override readonly name: string = "FormatError";
}

export class SignatureError extends FormatError {
  override readonly name: string = "SignatureError";
}

export class VersionError extends FormatError {
  override readonly name: string = "VersionError";
}

export class UnsupportedError extends FormatError {
  override readonly name: string = "UnsupportedError";
}

export class TruncatedError extends FormatError {
  override readonly name: string = "TruncatedError";
}

export class CorruptError extends FormatError {
  override readonly name: string = "CorruptError";
}

export class LimitError extends FormatError {
  override readonly name: string = "LimitError";
}

export class ModelError extends GlissandoError {
  override readonly name: string = "ModelError";
}

export class UnknownModelError extends ModelError {
  override readonly name: string = "UnknownModelError";
}

export class ModelMismatchError extends ModelError {
  override readonly name: string = "ModelMismatchError";
}

export class BackendError extends ModelError {
  override readonly name: string = "BackendError";
}
