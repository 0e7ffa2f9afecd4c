"""``python -m glissando`` is the command ``glissando``."""

from glissando.cli import main

if __name__ == "__main__":
    main()
