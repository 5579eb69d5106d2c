//go:build tools

// Package tools keeps Flux's controllers and the chart that one of them installs required by go.mod.
package tools

import (
	_ "github.com/fluxcd/helm-controller"
	_ "github.com/fluxcd/kustomize-controller"
	_ "github.com/fluxcd/source-controller"
	_ "sigs.k8s.io/gateway-api-inference-extension/version"
)
