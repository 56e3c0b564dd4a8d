import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "beside_redis"))

from plugin import *  # noqa: E402, F403
