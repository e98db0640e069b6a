// Kstatus says what Flux makes of objects: the rules of its own library, over each object of a list on standard input.
package main

import (
	"bytes"
	"encoding/json"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	var raw []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&raw); err != nil {
		panic(err)
	}
	answers := make([]answer, 0, len(raw))
	for _, one := range raw {
		object := &unstructured.Unstructured{}
		// Of unstructured, not of encoding/json: whole numbers are to be integers.
		if err := object.UnmarshalJSON(bytes.TrimSpace(one)); err != nil {
			panic(err)
		}
		result, err := status.Compute(object)
		if err != nil {
			panic(err)
		}
		answers = append(answers, answer{Status: result.Status.String(), Message: result.Message})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
