"""What the API's names are, for type checkers: ``__init__.py`` imports them only when they are asked for."""

from nas.api.runs import Run, list_runs, open_run
from nas.api.searching import resume_search, run_search
from nas.api.trials import Incumbent, Trial
from nas.util.errors import UserError
from search_spaces.base import Float, Hyperparameter, Integer, SearchSpace

__version__: str

__all__ = [
    "Float",
    "Hyperparameter",
    "Incumbent",
    "Integer",
    "Run",
    "SearchSpace",
    "Trial",
    "UserError",
    "list_runs",
    "open_run",
    "resume_search",
    "run_search",
]
