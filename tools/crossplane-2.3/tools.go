//go:build tools

// Package tools keeps Crossplane core required by go.mod.
package tools

import (
	_ "github.com/crossplane/crossplane/apis/v2"
	_ "github.com/crossplane/crossplane/v2/cmd/crossplane"
)
