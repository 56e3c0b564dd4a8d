import pathlib
import sys

tests = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(tests / "feast"), str(tests / "beside_redis")]
