//go:build tools

// Package tools keeps kube-state-metrics required by go.mod.
package tools

import _ "k8s.io/kube-state-metrics/v2"
