//go:build tools

// Package tools keeps Flux's helm-controller, the kinds that it reads and the chart that it installs
// required by go.mod.
package tools

import (
	_ "github.com/fluxcd/helm-controller"
	_ "github.com/fluxcd/source-controller"
	_ "sigs.k8s.io/gateway-api-inference-extension/version"
)
