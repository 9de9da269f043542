# Loaded by Python's site module because this directory stands first on PYTHONPATH. It starts the hook, then makes way: this
# directory leaves sys.path, and the sitecustomize that Python would have found without it runs under its own name.
import sys


def _start():
    from os.path import abspath, dirname

    here = dirname(abspath(__file__))
    try:
        import _assay_hook

        _assay_hook.start(here)
    finally:
        sys.path[:] = [p for p in sys.path if p != here]
        sys.path_importer_cache.pop(here, None)
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    ours = sys.modules.get("sitecustomize")
    sys.modules["sitecustomize"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules["sitecustomize"] = ours
        raise


_start()
