//go:build tools

// Package tools keeps the KEDA operator and its metrics adapter required by go.mod.
package tools

import (
	_ "github.com/kedacore/keda/v2/cmd/adapter"
	_ "github.com/kedacore/keda/v2/cmd/operator"
)
