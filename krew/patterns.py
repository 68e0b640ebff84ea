# krew/build adds this to the bundle's re/_compiler.py, and fills COMPILED: regular expressions of
# our libraries come compiled, as modules do. To compile them is a tenth of what a command takes.
# ruff: noqa: F821

COMPILED: dict = {}  # pattern and flags: flags, code, groups, their numbers, their names

compile_anew = compile


def compile(p, flags=0):
    known = COMPILED.get((p, flags)) if isstring(p) else None
    if known is None:
        return compile_anew(p, flags)
    flags, code, groups, numbers, names = known
    return _sre.compile(p, flags, memoryview(code).cast("I").tolist(), groups, numbers, names)
