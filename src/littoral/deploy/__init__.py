"""A model file -> files that run without torch, proven to agree with it; and what runs them.

`load` needs neither torch nor the rest of littoral.
"""

from littoral.deploy.runtime import Answer, Model, Opinion, RuntimeFileError, load

__all__ = ["Answer", "Model", "Opinion", "RuntimeFileError", "load"]
