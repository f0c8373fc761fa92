"""For Fusebox plugins in Python: an uncaught exception becomes a bare trap, and its text is lost.

What is decorated with `reporting` hands the text to the host first. Refusals, which are raised as `Err`, go through
unchanged.
"""

from componentize_py_types import Err
from wit_world.imports import log


def _told(error):
    # The module `traceback` would read files, of which there are none.
    places = []
    at = error.__traceback__
    while at is not None:
        places.append(f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}")
        at = at.tb_next
    return f"{type(error).__name__}: {error} at {', '.join(places)}"


def reporting(kind):
    """A plugin class whose functions report before they trap."""

    def wrap(call):
        def reported(*args):
            try:
                return call(*args)
            except Err:
                raise
            except BaseException as error:
                log.panic(_told(error))
                raise

        return reported

    for name, call in list(vars(kind).items()):
        if callable(call) and not name.startswith("_"):
            setattr(kind, name, wrap(call))
    return kind
