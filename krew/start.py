"""What the launcher of the bundle runs: the program, with all modules in one file beside it.

To find and read a module in that file takes a tenth of the time that Python takes for a file of
each, and a doctor loads 170. krew/build writes the file: the length of an index, eight bytes,
lowest first; the index, marshalled, which has the place, size and kind of each module; and their
code, marshalled. Extension modules lie in the folders of their packages, where Python finds them.
"""

import marshal
import os
import sys

# importlib.machinery has them too, but would itself be loaded, and more for it
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import SourcelessFileLoader

HERE = __file__.rpartition("/")[0]
LIBRARY = f"{HERE}/python{sys.version_info.major}.{sys.version_info.minor}"
FILE = os.open(f"{HERE}/modules", os.O_RDONLY)
SIZE = int.from_bytes(os.pread(FILE, 8, 0), "little")
INDEX = marshal.loads(os.pread(FILE, SIZE, 8))


class Packed(SourcelessFileLoader):
    """Finds and loads the modules of that file, as if each were a file below LIBRARY."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in INDEX:
            return None
        is_package = INDEX[name][2]
        place = f"{LIBRARY}/{name.replace('.', '/')}"
        file = f"{place}/__init__.pyc" if is_package else f"{place}.pyc"
        spec = ModuleSpec(name, cls(name, file), origin=file, is_package=is_package)
        spec.has_location = True  # so that it has a __file__
        if is_package:
            spec.submodule_search_locations = [place]
        return spec

    def get_code(self, fullname: str):
        place, size, _ = INDEX[fullname]
        return marshal.loads(os.pread(FILE, size, 8 + SIZE + place))


sys.meta_path.insert(0, Packed)  # type: ignore[arg-type]

from kubectl_satoken.__main__ import main  # noqa: E402

main()
