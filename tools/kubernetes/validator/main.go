// Command validator asks Kubernetes whether it would take an object. It reads requests as JSON, one
// a line, and answers each with one line, in order, until its input ends.
//
//	{"id": 1, "verb": "object", "object": {…}}              create, as Crossplane does: server-side apply
//	{"id": 2, "verb": "object", "object": {…}, "old": {…}}  apply over the stored object `old`
//	{"id": 3, "verb": "crd", "text": "…"}                   check a CustomResourceDefinition (YAML or
//	                                                        JSON), and serve its kind from then on
//	{"id": 4, "verb": "pod", "object": {"spec": {…}}}       Pod Security, profile "restricted"
//	{"id": 5, "verb": "quantity", "text": "1Gi"}
//
// An answer is {"id": 1, "errors": ["spec.replicas: Invalid value: …"]}; the list is empty when
// Kubernetes takes it. That of a quantity has its value too, as a decimal number.
//
// Nothing here knows a rule. Decoding, merging, defaults and validation are the functions that
// kube-apiserver itself calls, of the version in go.mod. Admission plugins are left out, and so is
// what depends on other objects (quotas, allocated addresses, existing names).
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The longest line that is read: a claim's objects are far below it, upstream's CRDs are not.
const longest = 64 << 20

type question struct {
	ID     json.RawMessage `json:"id"`
	Verb   string          `json:"verb"`
	Object json.RawMessage `json:"object"`
	Old    json.RawMessage `json:"old"`
	Text   string          `json:"text"`
}

type answer struct {
	ID     json.RawMessage `json:"id"`
	Errors []string        `json:"errors"`
	Value  string          `json:"value,omitempty"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "validator:", err)
		os.Exit(1)
	}
}

// serve answers until the input ends. A line that is not a request ends it with an error.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 1<<20), longest)
	encoder := json.NewEncoder(out)
	custom := definitions{}
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return fmt.Errorf("a line is not a request: %w", err)
		}
		given := answer{ID: asked.ID}
		err := given.fill(asked, custom)
		given.Errors = texts(err)
		if err := encoder.Encode(given); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (a *answer) fill(asked question, custom definitions) error {
	switch asked.Verb {
	case "object":
		return object(asked, custom)
	case "crd":
		return custom.add([]byte(asked.Text))
	case "pod":
		return restricted(asked.Object)
	case "quantity":
		quantity, err := resource.ParseQuantity(asked.Text)
		if err != nil {
			return err
		}
		a.Value = quantity.AsDec().String()
		return nil
	}
	return fmt.Errorf("there is no verb %q", asked.Verb)
}

func object(asked question, custom definitions) error {
	var typed struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(asked.Object, &typed); err != nil {
		return err
	}
	kind := schema.FromAPIVersionAndKind(typed.APIVersion, typed.Kind)
	if served, ok := builtins[kind]; ok {
		return served.validate(kind, asked.Object, asked.Old)
	}
	served, err := custom.find(kind)
	if err != nil {
		return err
	}
	return served.validate(asked.Object, asked.Old)
}

// texts lists what an error says, each with the path that it is about.
func texts(err error) []string {
	out := []string{}
	if err == nil {
		return out
	}
	if ofPod, ok := err.(*podError); ok {
		for _, text := range texts(ofPod.refusal) {
			out = append(out, "pod "+text)
		}
		return out
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			out = append(out, texts(one)...)
		}
		return out
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		if details := status.Status().Details; details != nil && len(details.Causes) > 0 {
			for _, cause := range details.Causes {
				out = append(out, located(cause.Field, cause.Message))
			}
			return out
		}
	}
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, one := range strict.Errors() {
			out = append(out, strictly(one.Error()))
		}
		return out
	}
	return append(out, merged(err.Error())...)
}

// typed is what precedes the paths when a manifest does not fit the schema of its kind.
var typed = regexp.MustCompile(`^failed to create typed patch object \([^)]*\): (errors:\n)?`)

// merged splits what a server-side apply says of a manifest into one text for each path.
func merged(message string) []string {
	prefix := typed.FindString(message)
	if prefix == "" {
		return []string{located("", message)}
	}
	out := []string{}
	for _, line := range strings.Split(strings.TrimPrefix(message, prefix), "\n") {
		path, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		out = append(out, located(strings.TrimPrefix(path, "."), what))
	}
	return out
}

func located(path, message string) string {
	if path == "" || path == "<nil>" {
		path = "<object>"
	}
	return path + ": " + message
}

// strictly turns `unknown field "spec.foo"` into the form of the other errors.
func strictly(message string) string {
	for _, what := range []string{"unknown field", "duplicate field"} {
		if rest, ok := strings.CutPrefix(message, what+" "); ok {
			return located(strings.Trim(rest, `"`), what)
		}
	}
	return located("", message)
}
