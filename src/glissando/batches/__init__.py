"""Batches of any number of pictures, each done once, on one machine or many (``docs/batch.md``).

::

    stores ── walk ──> driver ── Look ──> worker: reads, hashes
                       │    ^ <─ Looked ──┘
              manifest ┘    │ ── Make ──> worker: converts, writes
                            └ <─ Done ────┘

``driver`` decides, and alone writes the ``manifest``; ``pools`` says what it asks of workers, which are processes of
this machine (``processes``) or actors of a Ray cluster (``actors``). A ``worker`` converts with an ``encoding``.
``stores`` says what is asked of the places where files lie, which are a ``folder`` or ``remote``; ``naming`` is what
outputs are called, ``report`` what became of all, and ``start`` puts a batch together. No module here needs PyTorch.
"""
