"""A model file -> files that run without torch, proven to agree with it; and what runs them.

`load` and `load_split` need neither torch nor the rest of littoral.
"""

from littoral.deploy.runtime import Answer, Model, Opinion, RuntimeFileError, SplitModel, load, load_split

__all__ = ["Answer", "Model", "Opinion", "RuntimeFileError", "SplitModel", "load", "load_split"]
