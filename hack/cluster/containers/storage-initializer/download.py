"""Downloads a model, with the arguments that KServe's own image takes: a URI and the folder to fill.

Tar archives need a Python that can filter what they hold (3.11.4 or newer, which Debian 12's is not); single files and
zip archives need nothing.
"""

import sys

from kserve_storage import Storage

if __name__ == "__main__":
    uri, folder = sys.argv[1:]
    Storage.download(uri, folder)
