"""Downloads a model, with the arguments that KServe's own image takes: a URI and the folder to fill."""

import sys

from kserve_storage import Storage

if __name__ == "__main__":
    uri, folder = sys.argv[1:]
    Storage.download(uri, folder)
