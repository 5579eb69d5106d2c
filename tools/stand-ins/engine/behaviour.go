package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Faults of an engine. A request that hangs gets no answer, one that is wrong gets another's shape.
const (
	none   = ""
	hangs  = "hangs"  // takes connections and answers nothing, /health neither
	fails  = "fails"  // answers every request with 500, and /health with 200
	wrong  = "wrong"  // answers with something that is not OpenAI's
	breaks = "breaks" // cuts the connection in the middle of an answer
	dies   = "dies"   // ends at once
)

// Behaviour is how long everything takes and what is wrong.
type Behaviour struct {
	Version           string  `json:"version"`
	StartSeconds      float64 `json:"startSeconds"`
	FirstTokenSeconds float64 `json:"firstTokenSeconds"`
	TokenSeconds      float64 `json:"tokenSeconds"`
	ExitSeconds       float64 `json:"exitSeconds"`
	// Tokens of an answer that asks for no number.
	Tokens int `json:"tokens"`
	// Tokens for which there is room in the KV cache.
	KVTokens int    `json:"kvTokens"`
	Fault    string `json:"fault"`
	// The model whose requests alone have the fault; everything has it when empty.
	FaultModel string `json:"faultModel"`
	// Values to show on /metrics in place of the real ones; absent when negative.
	ShownWaiting float64 `json:"shownWaiting"`
	ShownKV      float64 `json:"shownKV"`
}

var usual = Behaviour{
	Version:           "0.25.1",
	StartSeconds:      1,
	FirstTokenSeconds: 0.05,
	TokenSeconds:      0.01,
	ExitSeconds:       0.5,
	Tokens:            16,
	KVTokens:          1 << 20,
	ShownWaiting:      -1,
	ShownKV:           -1,
}

// changed is a behaviour with the fields of a JSON object replaced.
func (b Behaviour) changed(text string) (Behaviour, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, err
	}
	switch b.Fault {
	case none, hangs, fails, wrong, breaks, dies:
		return b, nil
	}
	return b, fmt.Errorf("no fault %q", b.Fault)
}

func behaviourOf(text string) (Behaviour, error) {
	if text == "" {
		return usual, nil
	}
	return usual.changed(text)
}

// forRequest reads a header such as `firstTokenSeconds=2, fault=breaks`.
func (b Behaviour) forRequest(header string) (Behaviour, error) {
	if header == "" {
		return b, nil
	}
	fields := map[string]any{}
	for _, pair := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			fields[name] = number
		} else {
			fields[name] = value
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return b, err
	}
	return b.changed(string(text))
}

// forModel is the behaviour towards requests for one model; none is about the engine as a whole.
func (b Behaviour) forModel(name string) Behaviour {
	if b.FaultModel != "" && b.FaultModel != name {
		b.Fault = none
	}
	return b
}

// refuses says whether this version takes no connections while it drains (e2e/drain/engine.py).
func (b Behaviour) refuses() bool {
	parts := strings.Split(b.Version, ".")
	if len(parts) < 2 {
		return true
	}
	minor, err := strconv.Atoi(parts[1])
	return err != nil || (parts[0] == "0" && minor < 32)
}
