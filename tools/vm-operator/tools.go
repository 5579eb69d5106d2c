//go:build tools

// Package tools keeps the VictoriaMetrics operator required by go.mod.
package tools

import (
	_ "github.com/VictoriaMetrics/operator/cmd"
	_ "github.com/VictoriaMetrics/operator/cmd/config-reloader"
)
