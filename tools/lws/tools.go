//go:build tools

// Package tools keeps the controller of LeaderWorkerSets required by go.mod.
package tools

import (
	_ "sigs.k8s.io/lws/cmd"
)
