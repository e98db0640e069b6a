"""A scikit-learn model behind KServe's model server, which takes its arguments and `--model_name` and `--model_dir`.

The server, its protocols and its metrics are those of the package `kserve`. The model class of KServe's own image is published nowhere but in that
image; this one does the same for one file and one array.
"""

import argparse
from pathlib import Path
from typing import Any

import joblib
from kserve import Model, ModelServer, model_server
from kserve.errors import InferenceError
from kserve.utils.utils import get_predict_input, get_predict_response

SUFFIXES = (".joblib", ".pkl", ".pickle")


class SklearnModel(Model):
    """The one model file of a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder

    def load(self) -> bool:
        """Read it; the server is ready then."""
        (file,) = [file for file in self.folder.iterdir() if file.suffix in SUFFIXES]
        self.estimator = joblib.load(file)
        self.ready = True
        return self.ready

    def predict(
        self, payload: Any, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """The answer in the protocol of the request."""
        del headers, response_headers
        try:
            return get_predict_response(payload, self.estimator.predict(get_predict_input(payload)), self.name)
        except Exception as error:
            raise InferenceError(str(error)) from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser], conflict_handler="resolve")
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_dir", type=Path, required=True)
    given = parser.parse_args()
    model = SklearnModel(given.model_name, given.model_dir)
    model.load()
    ModelServer().start([model])
