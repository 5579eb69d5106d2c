//go:build tools

// Package tools keeps the endpoint picker required by go.mod.
package tools

import (
	_ "sigs.k8s.io/gateway-api-inference-extension/cmd/epp"
)
