//go:build tools

// Package tools keeps Kueue's controller required by go.mod.
package tools

import (
	_ "sigs.k8s.io/kueue/cmd/kueue"
)
