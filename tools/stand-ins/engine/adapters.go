package main

import (
	"encoding/json"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Follower is vLLM with the program of a claim's hot adapters before it, as one: it serves what the
// program's list has now, and answers 404 to whoever would load something himself. The program is
// held to vLLM's sources elsewhere (tools/engine/adapters.py).
type Follower struct{ list string }

const program = "inference_service_adapters"

// follower is what the middleware of a command line makes of this engine, or nil without ours.
func follower(middleware []string) *Follower {
	if !slices.Contains(middleware, program+".Adapters") {
		return nil
	}
	// Python imports it as the server starts.
	path := filepath.Join(os.Getenv("PYTHONPATH"), program+".py")
	if text, err := os.ReadFile(path); err != nil || len(text) == 0 {
		log.Fatalf("ModuleNotFoundError: No module named '%s'", program)
	}
	return &Follower{list: os.Getenv("INFERENCE_SERVICE_ADAPTERS")}
}

// loaded has the names of adapters whose directory is there, in order, and their directories.
func (f *Follower) loaded() (names, paths []string) {
	if f == nil {
		return nil, nil
	}
	listed := map[string]string{}
	text, err := os.ReadFile(f.list)
	if err != nil || json.Unmarshal(text, &listed) != nil {
		return nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if entries, err := os.ReadDir(listed[name]); err == nil && len(entries) > 0 {
			names, paths = append(names, name), append(paths, listed[name])
		}
	}
	return names, paths
}
