//go:build tools

// Package tools keeps Envoy Gateway and the parts of Envoy AI Gateway required by go.mod.
package tools

import (
	_ "github.com/envoyproxy/ai-gateway/cmd/controller"
	_ "github.com/envoyproxy/ai-gateway/cmd/extproc"
	_ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
)
