# The start-up hook of a seeded run: seeds each random generator right after its module is first imported, gives every process its
# own reproducible seed, and reports what it did as one JSON line per fact.
#
# Environment: ASSAY_SEED the run's seed; ASSAY_HOOK_REPORT the file to append to; ASSAY_HOOK_ROLE the role of the process that
# started this one; ASSAY_HOOK_WORKER the role chosen for this one by its parent; ASSAY_HOOK_PROBE what a reproduction holds still;
# ASSAY_HOOK_RAW the files of the raw data, ASSAY_HOOK_DIR the directory of the run: what is read of them is reported.
# Nothing here may break the program under it: a fault in seeding is reported, never raised. Works on Python 3.8 and later.
import itertools
import os
import sys

_MASK = 0xFFFFFFFFFFFFFFFF


def mix(*parts):
    """A 64-bit number from strings and integers: FNV-1a over the bytes, then the finaliser of splitmix64."""
    h = 0xCBF29CE484222325
    for part in parts:
        for byte in str(part).encode("utf-8", "replace") + b"\x00":
            h = ((h ^ byte) * 0x100000001B3) & _MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
    return h ^ (h >> 31)


class _State(object):
    seed = "0"
    role = "main"
    report = None
    here = ""
    pid = 0
    probes = frozenset()
    raw = frozenset()  # the raw data's files
    raw_names = frozenset()
    dir = ""  # the directory of the run, with a separator at its end
    forks = 0
    draws = None  # counts the calls of entropy; both counts are moved on by step() alone
    names = None
    lock = None  # where threads run without a global lock
    loaded = ()  # modules that were seeded, in import order
    said = frozenset()
    stdlib = ""
    urandom = None


_s = _State()


def _recount():
    """Begin the counts of a process. A lock that another thread held at a fork would never be free in the child, so it is a new one."""
    _s.draws, _s.names = itertools.count(1), itertools.count(1)
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        import _thread

        _s.lock = _thread.RLock()  # a signal's handler may draw while its thread holds it


_recount()


def step(count):
    """The next number of a count: no two threads get the same one."""
    if _s.lock is None:
        return next(count)  # one step under the global lock
    with _s.lock:
        return next(count)


def derive(*what):
    """The seed of one generator in this process."""
    return mix(_s.seed, _s.role, *what)


def entropy(bits):
    """The next deterministic stand-in for operating system entropy: a new number at each call."""
    draw, out = step(_s.draws), 0
    for i in range((bits + 63) // 64):
        out = (out << 64) | derive("entropy", draw, i)
    return out & ((1 << bits) - 1)


def _quote(s):
    out = ['"']
    for c in str(s):
        if c in '"\\':
            out.append("\\" + c)
        elif c < " " or "\ud800" <= c <= "\udfff":
            out.append("\\u%04x" % ord(c))
        else:
            out.append(c)
    out.append('"')
    return "".join(out)


def say(event, **facts):
    """Append one line to the report; the same line is written once per process."""
    if not _s.report:
        return
    line = '{"event":%s,"role":%s' % (_quote(event), _quote(_s.role))
    for k in sorted(facts):
        v = facts[k]
        if isinstance(v, (list, tuple)):
            line += ",%s:[%s]" % (_quote(k), ",".join(_quote(x) for x in v))
        else:
            line += ",%s:%s" % (_quote(k), _quote(v))
    if line in _s.said:
        return
    _s.said = _s.said | {line}
    try:
        fd = os.open(_s.report, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.write(fd, (line + "}\n").encode("utf-8", "replace"))
        finally:
            os.close(fd)
    except OSError:
        pass


def seeded(what):
    say("seeded", what=what)


def unseeded(what):
    say("unseeded", what=what)


# Seeding, one function a module. Each may run again after a fork and must then give the new process's numbers.


def _random(module, first):
    if first:
        plain = module.Random.seed

        def seed(self, a=None, version=2):
            # An instance without a seed takes entropy; here it takes the next derived number. Names of temporary files stay secret.
            if a is None and sys._getframe(1).f_globals.get("__name__") != "tempfile":
                caller = sys._getframe(2).f_globals.get("__name__") if sys._getframe(1).f_code.co_name == "__init__" else ""
                if caller != "tempfile":
                    a = entropy(128)
            return plain(self, a, version)

        seed.__doc__, seed.__qualname__, seed.__module__ = plain.__doc__, plain.__qualname__, plain.__module__
        module.Random.seed = seed
        module.seed = module._inst.seed
        if getattr(module, "_urandom", None) is _s.urandom:
            module._urandom = urandom  # imported before this hook, by a .pth file for one
        # random registered its own reseeding from entropy in forked children while it was imported; this one runs after it.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _guard("random", lambda: module._inst.seed(derive("random"))))
    module._inst.seed(derive("random"))
    seeded("random")


def _numpy(module, first):
    module.seed(derive("numpy.random") & 0xFFFFFFFF)
    seeded("numpy.random")
    if not first:
        return
    bg = sys.modules.get("numpy.random.bit_generator")
    name = "numpy.random.default_rng"
    if bg is None or not hasattr(bg, "randbits") or not hasattr(bg, "SeedSequence"):
        # An older or newer NumPy keeps its entropy source elsewhere: say so as soon as a generator is made without a seed.
        plain = getattr(module, "default_rng", None)
        if plain is not None:

            def default_rng(seed=None):
                if seed is None:
                    unseeded(name)
                return plain(seed)

            module.default_rng = default_rng
        return
    before = bg.randbits
    asked = []
    bg.randbits = lambda bits: asked.append(bits) or derive("probe") & ((1 << bits) - 1)  # takes no number of the program's
    probe = bg.SeedSequence().entropy
    if not asked or not isinstance(probe, int):
        bg.randbits = before
        unseeded(name)
        return
    bg.randbits = entropy
    seeded(name)


def _torch(module, first):
    module.manual_seed(derive("torch") & 0x7FFFFFFFFFFFFFFF)
    seeded("torch")
    if not first:
        return
    mode = os.environ.get("ASSAY_TORCH_DETERMINISTIC", "error")
    if mode == "off":
        unseeded("torch.use_deterministic_algorithms")
        return
    try:
        if mode == "warn":
            module.use_deterministic_algorithms(True, warn_only=True)
        elif hasattr(module, "use_deterministic_algorithms"):
            module.use_deterministic_algorithms(True)
        else:
            module.set_deterministic(True)
    except Exception:
        unseeded("torch.use_deterministic_algorithms")
    try:
        module.backends.cudnn.deterministic = True
        module.backends.cudnn.benchmark = False
    except Exception:
        unseeded("torch.backends.cudnn")


def _tensorflow(module, first):
    if not first:
        return  # a forked TensorFlow is not supported by its makers; its runtime is left alone
    module.random.set_seed(derive("tensorflow") & 0x7FFFFFFF)
    seeded("tensorflow")
    try:
        module.config.experimental.enable_op_determinism()
    except Exception:
        if os.environ.get("TF_DETERMINISTIC_OPS") != "1":
            unseeded("tensorflow.op_determinism")


def _lightgbm(module, first):
    seeded("lightgbm")
    if not first:
        return
    if os.environ.get("ASSAY_LIGHTGBM_DETERMINISTIC") == "off":
        unseeded("lightgbm.deterministic")
        return
    booster = module.Booster
    plain = booster.__init__

    def __init__(self, params=None, train_set=None, *args, **kwargs):
        if train_set is not None:
            # Without these, threads add up in the order in which they finish, and a timing chooses how histograms are built.
            given = params if isinstance(params, dict) else {}
            held = {}
            if "deterministic" not in given:
                held["deterministic"] = True
            if "force_col_wise" not in given and "force_row_wise" not in given and str(given.get("device_type", given.get("device", "cpu"))) == "cpu":
                held["force_col_wise"] = True
            if held and (params is None or isinstance(params, dict)):
                params = dict(given, **held)
            if str(given.get("deterministic", True)).lower() in ("false", "0", "-"):
                unseeded("lightgbm.deterministic")
            else:
                seeded("lightgbm.deterministic")
        return plain(self, params, train_set, *args, **kwargs)

    __init__.__doc__, __init__.__wrapped__ = plain.__doc__, plain
    booster.__init__ = __init__


def _fixed(name):
    def note(module, first):
        # These draw from a fixed seed of their own unless their caller gives another one: nothing to set.
        seeded(name)

    return note


def _multiprocessing(module, first):
    if not first:
        return
    process = module.BaseProcess
    boot, begin = process._bootstrap, process.start

    def _bootstrap(self, *args, **kwargs):
        target = getattr(getattr(self, "_target", None), "__module__", "") or ""
        _guard("multiprocessing", lambda: become(worker(self), alone=target.startswith("torch.utils.data")))
        return boot(self, *args, **kwargs)

    def start(self):
        # A spawned interpreter runs the main module before it learns which worker it is, so it is told through the environment.
        old = os.environ.get("ASSAY_HOOK_WORKER")
        os.environ["ASSAY_HOOK_WORKER"] = worker(self)
        try:
            return begin(self)
        finally:
            if old is None:
                os.environ.pop("ASSAY_HOOK_WORKER", None)
            else:
                os.environ["ASSAY_HOOK_WORKER"] = old

    process._bootstrap = _bootstrap
    process.start = start


def worker(process):
    """The role of a multiprocessing worker: its place in the tree of workers, however it was started."""
    return "worker:" + ".".join(str(i) for i in getattr(process, "_identity", ()))


_SEEDERS = {
    "random": _random,
    "numpy.random": _numpy,
    "torch": _torch,
    "tensorflow": _tensorflow,
    "xgboost": _fixed("xgboost"),
    "lightgbm": _lightgbm,
    "catboost": _fixed("catboost"),
    "multiprocessing.process": _multiprocessing,
}


def _guard(name, act):
    try:
        act()
    except Exception as e:
        unseeded(name)
        say("fault", what=name, error=type(e).__name__)


def become(role, alone=False):
    """Take on a role: every generator that is loaded gets the numbers of that role. Alone leaves the generators as they are."""
    if role == _s.role and os.getpid() == _s.pid:
        return  # a spawned worker that knew its role from the start: seeding it again would repeat its numbers
    _recount()
    _s.role, _s.pid, _s.said = role, os.getpid(), frozenset()
    os.environ["ASSAY_HOOK_ROLE"] = role
    os.environ.pop("ASSAY_HOOK_WORKER", None)
    say("start")
    if alone:
        say("left_alone", what="torch DataLoader worker")
        return
    for name in _s.loaded:
        module = sys.modules.get(name)
        if module is not None:
            _guard(name, lambda: _SEEDERS[name](module, False))


class Finder(object):
    """Wraps the loader of each module that has a generator, so that it is seeded before its importer sees it."""

    def __init__(self):
        self.busy = set()

    def find_spec(self, name, path=None, target=None):
        seeder = _SEEDERS.get(name) or _PROBES.get(name)
        if seeder is None or name in self.busy:
            return None
        self.busy.add(name)
        try:
            spec = None
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                if finder is self or find is None:
                    continue
                spec = find(name, path, target)
                if spec is not None:
                    break
        finally:
            self.busy.discard(name)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return spec
        plain = spec.loader.exec_module

        def exec_module(module):
            plain(module)
            first = name not in _s.loaded
            if first:
                _s.loaded = _s.loaded + (name,)
            _guard(name, lambda: seeder(module, first))

        try:
            spec.loader.exec_module = exec_module
        except Exception:
            unseeded(name)
        return spec


# Watching: what a run took from outside that no seed covers.


# Packages and modules that draw entropy for names of files, keys and sockets only.
_HARMLESS = frozenset(("joblib", "loky", "urllib3", "requests", "tqdm", "pip", "dask", "distributed", "zmq", "IPython", "jupyter_client", "sklearn.callback._transport"))
_FRONTS = {"uuid": "uuid.uuid4", "secrets": "secrets", "random": "random.SystemRandom"}


def _asker(frame):
    """What was called for entropy, when the program called it; empty when the standard library or a harmless package did."""
    what = "os.urandom"
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name not in _FRONTS:
            break
        what = _FRONTS[name]
        frame = frame.f_back
    if frame is None:
        return ""
    file = frame.f_code.co_filename or ""
    library = file.startswith("<frozen") or (file.startswith(_s.stdlib) and "-packages" not in file)
    return "" if library or name in _HARMLESS or name.split(".")[0] in _HARMLESS else what


# Modules that ask for entropy to name something in each run of theirs, however the program sets its seeds. A name may get into what a
# run leaves, so it is derived from the seed: a number in the process's own order, apart from those of the generators.
_NAMED = frozenset(("sklearn.callback._callback_context",))  # scikit-learn 1.9: the id of a fit, at every fit of some estimators


def _name(frame, size):
    """The bytes of the next name for a module of _NAMED that asked for a UUID; None for any other caller."""
    while frame is not None and frame.f_globals.get("__name__") == "uuid":
        frame = frame.f_back
    if frame is None or frame.f_globals.get("__name__") not in _NAMED:
        return None
    n = step(_s.names)
    seeded("uuid.uuid4 of " + frame.f_globals["__name__"].split(".")[0])
    return b"".join(derive("name", n, i).to_bytes(8, "little") for i in range((size + 7) // 8))[:size]


def urandom(size):
    """os.urandom, watched: reported when the program itself asks, and derived from the seed when a reproduction probes for it."""
    try:
        name = _name(sys._getframe(1), size)
        if name is not None:
            return name
        what = _asker(sys._getframe(1))
        if what:
            unseeded(what)
            if "unseeded_generator" in _s.probes:
                return entropy(8 * size).to_bytes(size, "little")
    except Exception:
        pass
    return _s.urandom(size)


_BYPASS = frozenset("IES")


def _audit(event, args):
    if event not in _EVENTS:
        return
    try:
        if event == "open":
            _opened(args[0])
            _read(*args)
        elif event == "subprocess.Popen":
            _child(args[0], args[1], args[3])
        elif event == "socket.connect":
            address = args[1]
            if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
                say("network")
    except Exception:
        pass
    if event == "socket.connect" and "network" in _s.probes and isinstance(args[1], tuple):
        if not str(args[1][0]).startswith(("127.", "::1", "localhost")):
            raise OSError("the network is held still for this run")


_EVENTS = frozenset(("open", "subprocess.Popen", "socket.connect"))


def _opened(path):
    if not _s.raw or isinstance(path, int):
        return
    path = os.fsdecode(path)
    # A link may have another name; following it costs a system call, so only names that could be data are followed.
    if os.path.basename(path) in _s.raw_names or (not path.endswith((".py", ".pyc", ".so")) and os.path.islink(path)):
        path = os.path.realpath(path)
        if path in _s.raw:
            say("opened", what=path)


def _read(path, mode, flags):
    """Say which source files below the run's directory Python reads, with size and time, so that a later look knows whether it was that one."""
    if not _s.dir or isinstance(path, int):
        return
    if ("+" in mode or mode[:1] != "r") if mode else flags & (os.O_WRONLY | os.O_RDWR):
        return
    path = os.fsdecode(path)
    if path.endswith(".pyc") and os.path.basename(os.path.dirname(path)) == "__pycache__":
        folder, name = os.path.split(path)
        path = os.path.join(os.path.dirname(folder), name.split(".", 1)[0] + ".py")
    if not path.endswith(".py") or "-packages" in path or path.startswith(_s.stdlib):
        return
    path = os.path.realpath(path)
    if path.startswith(_s.dir):
        info = os.stat(path)
        say("module", what=path[len(_s.dir) :], size=info.st_size, modified=info.st_mtime_ns)


def _child(executable, argv, env):
    if isinstance(argv, (str, bytes)) or not argv:
        return
    name = os.path.basename(os.fsdecode(executable or argv[0]))
    if not name.startswith(("python", "pypy")):
        return
    for arg in argv[1:]:
        arg = os.fsdecode(arg)
        if not arg.startswith("-") or arg in ("-c", "-m") or arg.startswith("--"):
            break
        if _BYPASS.intersection(arg[1:]):
            unseeded("python " + arg)
            return
        if arg in ("-W", "-X"):
            continue
    if env is not None:
        path = env.get("PYTHONPATH") or env.get(b"PYTHONPATH") or ""
        if _s.here not in os.fsdecode(path):
            unseeded("python without PYTHONPATH")


# Probes: a reproduction holds one thing still and looks whether the difference goes away.


class _Clock(object):
    """A clock that moves on by a millisecond a call, so that whatever waits on it still ends."""

    calls = 0

    def ns(self):
        self.calls += 1
        return 1700000000000000000 + self.calls * 1000000


_clock = _Clock()


def _probe_time():
    import time

    for name in ("time", "perf_counter", "monotonic", "process_time", "thread_time"):
        if hasattr(time, name):
            setattr(time, name, lambda: _clock.ns() / 1e9)
        if hasattr(time, name + "_ns"):
            setattr(time, name + "_ns", _clock.ns)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, (lambda plain: lambda secs=None: plain(_clock.ns() / 1e9 if secs is None else secs))(getattr(time, name)))
    plain = time.strftime
    time.strftime = lambda fmt, t=None: plain(fmt, time.localtime() if t is None else t)


def _probe_datetime(module, first):
    real, day = module.datetime, module.date

    class Meta(type):
        def __instancecheck__(cls, value):
            return isinstance(value, real if cls.__name__ == "datetime" else day)

    class datetime(real, metaclass=Meta):
        @classmethod
        def now(cls, tz=None):
            return real.fromtimestamp(_clock.ns() / 1e9, tz)

        @classmethod
        def utcnow(cls):
            return real.fromtimestamp(_clock.ns() / 1e9, module.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return real.fromtimestamp(_clock.ns() / 1e9)

    class date(day, metaclass=Meta):
        @classmethod
        def today(cls):
            return day.fromtimestamp(_clock.ns() / 1e9)

    module.datetime, module.date = datetime, date


_PROBES = {}


def _claim(parent):
    """A role for a child that nobody announced: the next free number below its parent's role."""
    n = 1
    while n < 100000:
        role = "%s/child:%d" % (parent, n)
        try:
            os.close(os.open("%s.%016x" % (_s.report, mix(role)), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return role
        except FileExistsError:
            n += 1
        except OSError:
            return role
    return parent


def _before_fork():
    _s.forks += 1


def _after_fork():
    _guard("fork", lambda: become("%s/fork:%d" % (_s.role, _s.forks)))


def start(here):
    """Install the hook in this interpreter."""
    env = os.environ
    if not env.get("ASSAY_SEED"):
        return
    _s.here, _s.seed, _s.report, _s.pid = here, env["ASSAY_SEED"], env.get("ASSAY_HOOK_REPORT"), os.getpid()
    _s.probes = frozenset(p for p in env.get("ASSAY_HOOK_PROBE", "").split(",") if p)
    _s.stdlib = os.path.dirname(os.__file__)
    _s.raw = frozenset(p for p in env.get("ASSAY_HOOK_RAW", "").split(os.pathsep) if p)
    if env.get("ASSAY_HOOK_DIR"):
        _s.dir = os.path.join(os.path.realpath(env["ASSAY_HOOK_DIR"]), "")
    _s.raw_names = frozenset(os.path.basename(p) for p in _s.raw)
    parent, told = env.get("ASSAY_HOOK_ROLE"), env.get("ASSAY_HOOK_WORKER")
    if told:
        _s.role = told
    elif parent:
        _s.role = _claim(parent)
    env["ASSAY_HOOK_ROLE"] = _s.role
    env.pop("ASSAY_HOOK_WORKER", None)
    say(
        "interpreter",
        name=sys.implementation.name,
        version="%d.%d.%d" % sys.version_info[:3],
        prefix=sys.prefix,
        path=[p for p in sys.path if p != here],
    )
    say("start")
    if env.get("PYTHONHASHSEED", "random") != "random" and not sys.flags.ignore_environment:
        seeded("hash order")
    else:
        unseeded("hash order")
    if "time" in _s.probes:
        _probe_time()
        _PROBES["datetime"] = _probe_datetime
    _s.urandom, os.urandom = os.urandom, urandom
    sys.meta_path.insert(0, Finder())
    for name in list(_SEEDERS) + list(_PROBES):
        module = sys.modules.get(name)
        if module is not None:
            _s.loaded = _s.loaded + (name,)
            act = _SEEDERS.get(name) or _PROBES.get(name)
            _guard(name, lambda: act(module, True))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(_audit)
